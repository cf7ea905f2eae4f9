package wire

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"github.com/linekeeper/linekeeper/call"
)

// Paths by which a recorder gets a certificate from headquarters' authority, at its HTTPS endpoint for recorders.
const (
	PathEnrol = "/v1/enrol" // POST an Enrolment, without a certificate; answered with a CertificateAnswer
	PathRenew = "/v1/renew" // POST nothing, with the certificate in use, which may have ended; answered likewise
)

// Enrolment is how a recorder asks for its first certificate. The token came with its bundle; the signature shows that
// the recorder has the private half of the key.
type Enrolment struct {
	Token     string            `json:"token"`
	Key       ed25519.PublicKey `json:"key"`       // base64
	Signature []byte            `json:"signature"` // base64, by the key, of enrolmentText
}

// CertificateAnswer carries a recorder's certificate, or why there is none.
type CertificateAnswer struct {
	Certificate string `json:"certificate,omitempty"` // PEM
	Error       string `json:"error,omitempty"`
}

// MaxEnrolment bounds an Enrolment, in bytes of JSON.
const MaxEnrolment = 4 << 10

// NewEnrolment asks for a certificate for the key.
func NewEnrolment(key ed25519.PrivateKey, token string) Enrolment {
	return Enrolment{Token: token, Key: key.Public().(ed25519.PublicKey), Signature: ed25519.Sign(key, enrolmentText(token))}
}

// enrolmentText is signed for an enrolment and for nothing else that a recorder's key signs.
func enrolmentText(token string) []byte { return []byte("linekeeper enrolment\n" + token) }

// Device is the recorder that asks.
func (e *Enrolment) Device() call.DeviceID { return call.DeviceIDOf(e.Key) }

func (e *Enrolment) check() error {
	if err := CheckToken(e.Token); err != nil {
		return err
	}
	if len(e.Key) != ed25519.PublicKeySize {
		return fmt.Errorf("a key of %d bytes is no Ed25519 key", len(e.Key))
	}
	if !ed25519.Verify(e.Key, enrolmentText(e.Token), e.Signature) {
		return errors.New("the signature is not by the key")
	}
	return nil
}

var tokenEncoding = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

const tokenBytes = 16

// NewToken draws a token that lets one recorder enrol: 128 random bits, 26 characters of Crockford's base32.
func NewToken() string {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails
	return tokenEncoding.EncodeToString(b)
}

// CheckToken looks at the form of a token.
func CheckToken(s string) error {
	if b, err := tokenEncoding.DecodeString(s); err != nil || len(b) != tokenBytes || strings.ContainsAny(s, "\r\n") {
		return errors.New("a token has 26 characters of 0-9 and A-Z without I, L, O and U")
	}
	return nil
}
