package wire

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/linekeeper/linekeeper/call"
)

// Recipients is headquarters' word on whom a recorder's calls are to be sealed to. The newest holds. On the wire it is a
// compact JWS, signed by headquarters' receipt key.
type Recipients struct {
	Device     call.DeviceID `json:"device"`
	Time       time.Time     `json:"time"`       // when this was decided
	Recipients []string      `json:"recipients"` // age1...; never empty
}

// SignRecipients gives the word as a compact JWS.
func SignRecipients(key ed25519.PrivateKey, r Recipients) (string, error) {
	return sign(key, "recipients", r)
}

// VerifyRecipients checks the signature and gives the word. Whether it is for the right device, and newer than what is
// known, is for the caller to check.
func VerifyRecipients(key ed25519.PublicKey, jws string) (r Recipients, err error) {
	if err := verify(key, "recipients", jws, &r); err != nil {
		return Recipients{}, err
	}
	if len(r.Recipients) == 0 {
		return Recipients{}, fmt.Errorf("recipients: none")
	}
	return r, nil
}

// sign gives a message as a compact JWS (RFC 7515, EdDSA as in RFC 8037).
func sign(key ed25519.PrivateKey, what string, message any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, nil)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", what, err)
	}
	payload, err := json.Marshal(message)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", what, err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", what, err)
	}
	return signed.CompactSerialize()
}

// verify checks that headquarters' receipt key signed a message, and reads it.
func verify(key ed25519.PublicKey, what, jws string, message any) error {
	return verifyBy(key, "headquarters' receipt key", what, jws, message)
}

// verifyBy checks the signature of a message and reads it; whose says in words whose key that is.
func verifyBy(key ed25519.PublicKey, whose, what, jws string, message any) error {
	signed, err := parse(what, jws)
	if err != nil {
		return err
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return fmt.Errorf("%s is not signed by %s: %w", what, whose, err)
	}
	return unmarshal(what, payload, message)
}

// read reads a message and does not look at its signature.
func read(what, jws string, message any) error {
	signed, err := parse(what, jws)
	if err != nil {
		return err
	}
	return unmarshal(what, signed.UnsafePayloadWithoutVerification(), message)
}

func parse(what, jws string) (*jose.JSONWebSignature, error) {
	signed, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return signed, nil
}

func unmarshal(what string, payload []byte, message any) error {
	if err := json.Unmarshal(payload, message); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
