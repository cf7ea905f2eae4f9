package wire

import (
	"crypto/ed25519"
	"errors"

	"github.com/linekeeper/linekeeper/call"
)

// SignReceipt gives the receipt as a compact JWS.
func SignReceipt(key ed25519.PrivateKey, r call.Receipt) (string, error) {
	return sign(key, "receipt", r)
}

// VerifyReceipt checks the signature and gives the receipt. Whether it speaks of the right device, call, size and hash
// is for the caller to check.
func VerifyReceipt(key ed25519.PublicKey, jws string) (r call.Receipt, err error) {
	if err := verify(key, "receipt", jws, &r); err != nil {
		return call.Receipt{}, err
	}
	if r.Call == nil && (r.First == 0 || r.Last < r.First) {
		return call.Receipt{}, errors.New("receipt: of neither a call nor a range of entries")
	}
	return r, nil
}
