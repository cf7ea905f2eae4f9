package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
)

// ErrSignature says that an entry is not signed by the key that it was checked against: it was altered, or somebody else
// wrote it.
var ErrSignature = errors.New("the signature is not by the device's key")

// signatureLen is an Ed25519 signature in base64url.
const signatureLen = (ed25519.SignatureSize*8 + 5) / 6

// header is the first part of every JWS of a device. It stands in these bytes always, so that there is one way to write
// an entry and no header for a reader to be led astray by.
func header(device call.DeviceID) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"` + string(device) + `"}`))
}

// Parse reads one entry from its JWS and checks its form: that it is of version 1, and that what its type needs is
// there. It does not look at the signature: it is for entries of the recorder's own ring. Whether an entry fits those
// around it is for Check.
func Parse(jws []byte) (call.Entry, error) {
	e, _, err := parse(jws)
	if err != nil {
		return call.Entry{}, fmt.Errorf("ledger entry: %w", err)
	}
	return e, nil
}

// Verify reads one entry from its JWS and checks form and signature. The error is ErrSignature where the form is good and
// the signature is not by pub, or pub not the key that the entry's device ID follows from. Pub has to come from somewhere
// that is trusted, never from the entry: a device ID is too short to stand for a key.
func Verify(jws []byte, pub ed25519.PublicKey) (call.Entry, error) {
	e, signature, err := parse(jws)
	if err != nil {
		return call.Entry{}, fmt.Errorf("ledger entry: %w", err)
	}
	signed := jws[:len(jws)-1-signatureLen]
	if len(pub) != ed25519.PublicKeySize || call.DeviceIDOf(pub) != e.Device || !ed25519.Verify(pub, signed, signature) {
		return call.Entry{}, fmt.Errorf("ledger entry %d of device %s: %w", e.Number, e.Device, ErrSignature)
	}
	return e, nil
}

func parse(jws []byte) (e call.Entry, signature []byte, err error) {
	if len(jws) > MaxEntry {
		return e, nil, fmt.Errorf("%d bytes, at most %d", len(jws), MaxEntry)
	}
	parts := bytes.Split(jws, []byte("."))
	if len(parts) != 3 {
		return e, nil, errors.New("not a compact JWS of three parts")
	}
	payload, err := decode(parts[1])
	if err != nil {
		return e, nil, fmt.Errorf("payload: %w", err)
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return e, nil, fmt.Errorf("payload: %w", err)
	}
	if err := checkForm(e); err != nil {
		return e, nil, err
	}
	if string(parts[0]) != header(e.Device) {
		return e, nil, fmt.Errorf(`the JWS header is not {"alg":"EdDSA","kid":%q}`, e.Device)
	}
	if signature, err = decode(parts[2]); err != nil || len(signature) != ed25519.SignatureSize {
		return e, nil, errors.New("the signature is not 64 bytes in base64url")
	}
	return e, signature, nil
}

// decode reads base64url in its only form: without padding, with loose bits 0, and without the line breaks that the
// standard library passes over and a hash does not.
func decode(s []byte) ([]byte, error) {
	if bytes.ContainsAny(s, "\r\n") {
		return nil, errors.New("line breaks in base64url")
	}
	return base64.RawURLEncoding.Strict().AppendDecode(nil, s)
}
