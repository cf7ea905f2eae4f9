package wire

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/linekeeper/linekeeper/call"
)

// SignReceipt gives the receipt as a compact JWS (RFC 7515, EdDSA as in RFC 8037).
func SignReceipt(key ed25519.PrivateKey, r call.Receipt) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, nil)
	if err != nil {
		return "", fmt.Errorf("sign receipt: %w", err)
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("sign receipt: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign receipt: %w", err)
	}
	return signed.CompactSerialize()
}

// VerifyReceipt checks the signature and gives the receipt. Whether it speaks of the right device, call, size and hash
// is for the caller to check.
func VerifyReceipt(key ed25519.PublicKey, jws string) (call.Receipt, error) {
	signed, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return call.Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return call.Receipt{}, fmt.Errorf("receipt is not signed by headquarters' receipt key: %w", err)
	}
	var r call.Receipt
	if err := json.Unmarshal(payload, &r); err != nil {
		return call.Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	if r.Call == nil && (r.First == 0 || r.Last < r.First) {
		return call.Receipt{}, errors.New("receipt: of neither a call nor a range of entries")
	}
	return r, nil
}
