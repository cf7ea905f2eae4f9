package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink/enrol"
)

// Files of the identity folder, as `linekeeper-hq recorder add` writes them.
const (
	fileKey       = "device.key"  // PKCS#8 PEM, Ed25519
	fileAuthority = "hq-ca.crt"   // headquarters' authority
	fileReceipt   = "receipt.pub" // headquarters' receipt key, PKIX PEM

	fileRecipients = "recipients.txt" // whom calls are sealed to: age recipients, a line each
	fileNewer      = "recipients.jws" // the same, as headquarters said later: wire.Recipients
)

// identity is who the recorder is, and whom it trusts.
type identity struct {
	device     call.DeviceID
	key        ed25519.PrivateKey // signs the ledger
	recipients *recipients        // whom calls are sealed to
	tls        *tls.Config        // nil where the recorder belongs to no headquarters
	receipt    ed25519.PublicKey  // headquarters'; nil likewise
	enroller   *enrol.Enroller    // nil likewise: keeps the certificate
}

// loadIdentity reads the identity folder. A recorder that delivers to nobody, and has no key yet, makes one. address is
// headquarters' over HTTPS, which gives certificates; empty: none will be asked for.
func loadIdentity(dir string, delivers bool, address string) (identity, error) {
	key, err := readKey(filepath.Join(dir, fileKey))
	if errors.Is(err, fs.ErrNotExist) && !delivers {
		key, err = makeKey(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return identity{}, fmt.Errorf("%w: this recorder has no identity; make one at headquarters with `linekeeper-hq recorder add --site SITE --out %s`", err, dir)
	}
	if err != nil {
		return identity{}, err
	}
	id := identity{device: call.DeviceIDOf(key.Public().(ed25519.PublicKey)), key: key}
	if !delivers {
		// Where calls go out by courier alone, their receipts are headquarters' all the same.
		if id.receipt, err = readPublicKey(filepath.Join(dir, fileReceipt)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return identity{}, err
		}
		id.recipients, err = loadRecipients(dir, id)
		return id, err
	}
	authority := x509.NewCertPool()
	text, err := os.ReadFile(filepath.Join(dir, fileAuthority))
	if err != nil {
		return identity{}, fmt.Errorf("read headquarters' authority: %w", err)
	}
	if !authority.AppendCertsFromPEM(text) {
		return identity{}, fmt.Errorf("headquarters' authority %s holds no certificate", filepath.Join(dir, fileAuthority))
	}
	if id.receipt, err = readPublicKey(filepath.Join(dir, fileReceipt)); err != nil {
		return identity{}, err
	}
	id.tls = &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS13}
	id.enroller, err = enrol.Open(dir, key, enrol.Options{Address: address, TLS: id.tls})
	if err != nil {
		return identity{}, err
	}
	id.tls.GetClientCertificate = id.enroller.Certificate
	id.recipients, err = loadRecipients(dir, id)
	return id, err
}

func readPEM(file, kind string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("read %s: %w: run as the user that owns it", kind, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", kind, err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s %s is damaged: it holds no PEM block; put back the file that headquarters made", kind, file)
	}
	return block.Bytes, nil
}

func readKey(file string) (ed25519.PrivateKey, error) {
	der, err := readPEM(file, "device key")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("device key %s is damaged: it is no Ed25519 key in PKCS #8; put back the file that headquarters made", file)
	}
	return key, nil
}

func readPublicKey(file string) (ed25519.PublicKey, error) {
	der, err := readPEM(file, "headquarters' receipt key")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	key, ok := parsed.(ed25519.PublicKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("headquarters' receipt key %s is damaged: it is no Ed25519 key; put back the file that headquarters made", file)
	}
	return key, nil
}

func makeKey(dir string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make device key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make device key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make device key: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, fileKey), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make device key: %w", err)
	}
	err = pem.Encode(file, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, fmt.Errorf("make device key: %w", err)
	}
	return key, nil
}
