package ledger_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/linekeeper/linekeeper/ledger"
)

// TestVectorOfVersion1 reads what version 1 wrote, one entry of each type, signed with the key of RFC 8037, appendix A.
// Every later version reads this file. That it also writes it holds as long as version 1 is what is written.
func TestVectorOfVersion1(t *testing.T) {
	file, err := os.Open("testdata/v1.ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want, _ := run(t, entries()...)
	chain := ledger.NewChain(beginning, pub)
	n := 0
	for line, err := range ledger.Lines(file) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := chain.Add(line.JWS)
		if err != nil {
			t.Fatal(err)
		}
		if n >= len(want) || !bytes.Equal(line.JWS, want[n]) {
			t.Errorf("entry %d (%s) is written otherwise now", n+1, e.Type)
		} else if parsed, err := ledger.Parse(want[n]); err != nil || !reflect.DeepEqual(e.Entry, parsed) {
			t.Errorf("entry %d: %+v, %v", n+1, e.Entry, err)
		}
		n++
	}
	if n != len(want) || len(chain.Breaks()) != 0 {
		t.Errorf("%d entries, breaks %+v", n, chain.Breaks())
	}
}

// TestAnybodyCanCheck takes the key and the example of docs/format-ledger.md and gives them to a JOSE library.
func TestAnybodyCanCheck(t *testing.T) {
	page, err := os.ReadFile("../docs/format-ledger.md")
	if err != nil {
		t.Fatal(err)
	}
	var keyText, example string
	for line := range strings.Lines(string(page)) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, `{"kty":`):
			keyText = line
		case strings.HasPrefix(line, "eyJ") && strings.Count(line, ".") == 2:
			example = line
		}
	}
	var jwk jose.JSONWebKey
	if err := json.Unmarshal([]byte(keyText), &jwk); err != nil {
		t.Fatalf("the key %q: %v", keyText, err)
	}
	signed, err := jose.ParseSignedCompact(example, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatalf("the example %q: %v", example, err)
	}
	payload, err := signed.Verify(jwk)
	if err != nil {
		t.Fatal(err)
	}
	if kid := signed.Signatures[0].Header.KeyID; kid != string(start.Device) {
		t.Errorf("kid %q", kid)
	}
	if !bytes.Contains(page, payload) {
		t.Errorf("the page does not show the payload %s", payload)
	}
	jws, _ := run(t, entries()[:2]...)
	if string(jws[1]) != example {
		t.Errorf("the page shows\n%s, and what is written is\n%s", example, jws[1])
	}
	for i, j := range mustAll(t) {
		signed, err := jose.ParseSignedCompact(string(j), []jose.SignatureAlgorithm{jose.EdDSA})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signed.Verify(jwk); err != nil {
			t.Errorf("entry %d: %v", i+1, err)
		}
	}
}

func mustAll(t *testing.T) [][]byte {
	jws, _ := run(t, entries()...)
	return jws
}
