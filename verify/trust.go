package verify

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
)

// Trust is whose signatures are believed: the public keys of recorders. A device ID is 40 bits of a hash, for which
// somebody can make a key of his own in a week; so a key is believed because headquarters' authority signed a certificate
// for it, or because whoever asks has brought it himself, and never because it lies beside what is to be checked.
type Trust struct {
	authority *x509.Certificate // nil: none was given
	keys      map[call.DeviceID]ed25519.PublicKey
}

// NewTrust believes what headquarters' authority has signed: its certificate in PEM. Nil: there is none, and only the
// certificates that are added are believed.
func NewTrust(authority []byte) (*Trust, error) {
	t := &Trust{keys: map[call.DeviceID]ed25519.PublicKey{}}
	if authority == nil {
		return t, nil
	}
	block, _ := pem.Decode(authority)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("headquarters' authority: not a certificate in PEM")
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !ca.IsCA {
		return nil, errors.New("headquarters' authority: not the certificate of an authority; give its hq-ca.crt")
	}
	t.authority = ca
	return t, nil
}

// Add believes a recorder's certificate, or its public key alone, in PEM. Where there is an authority it must be a
// certificate by that.
func (t *Trust) Add(text []byte) error {
	device, key, err := t.read(text)
	if err != nil {
		return err
	}
	if old, ok := t.keys[device]; ok && !old.Equal(key) {
		return fmt.Errorf("two different keys were given for recorder %s", device)
	}
	t.keys[device] = key
	return nil
}

// read gives a recorder's key, which the authority has signed where there is one.
func (t *Trust) read(text []byte) (call.DeviceID, ed25519.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return "", nil, errors.New("recorder's certificate: not in PEM")
	}
	var public any
	switch block.Type {
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", nil, fmt.Errorf("recorder's certificate: %w", err)
		}
		if err := t.signed(cert); err != nil {
			return "", nil, err
		}
		public = cert.PublicKey
	case "PUBLIC KEY":
		if t.authority != nil {
			return "", nil, errors.New("recorder's public key: headquarters' authority signs certificates; give the recorder's device.crt")
		}
		var err error
		if public, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			return "", nil, fmt.Errorf("recorder's public key: %w", err)
		}
	default:
		return "", nil, fmt.Errorf("a PEM block %q is not a recorder's certificate", block.Type)
	}
	key, ok := public.(ed25519.PublicKey)
	if !ok {
		return "", nil, fmt.Errorf("not a recorder's certificate: its key is not Ed25519 (%T)", public)
	}
	return call.DeviceIDOf(key), key, nil
}

// signed looks at no dates: a certificate that has run out since is no reason to doubt what was signed before.
func (t *Trust) signed(cert *x509.Certificate) error {
	key, ok := cert.PublicKey.(ed25519.PublicKey)
	if !ok || cert.IsCA {
		return fmt.Errorf("certificate of %q is not a recorder's", cert.Subject.CommonName)
	}
	if want := string(call.DeviceIDOf(key)); cert.Subject.CommonName != want {
		return fmt.Errorf("certificate is of %q and its key of recorder %s", cert.Subject.CommonName, want)
	}
	if t.authority == nil {
		return nil
	}
	if err := cert.CheckSignatureFrom(t.authority); err != nil {
		return fmt.Errorf("certificate of recorder %s is not by headquarters' authority: %w", cert.Subject.CommonName, err)
	}
	return nil
}
