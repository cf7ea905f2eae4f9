package authority

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// What to do about a key that cannot be read.
const (
	precious         = "restore it from a backup; headquarters never makes a new one in its place, since recorders know only this one"
	preciousCallKeys = "restore them from a backup: without them the calls that were sealed to them cannot be heard"
	replaceable      = "move it away and start again: a new one will be made"
)

// loadOrMake reads a private key (PKCS #8 in PEM), or makes one where the file does not exist and allowed (nil: always)
// does not object.
func loadOrMake[K any](path, advice string, create func() (K, error), is func(any) (K, bool), allowed func() error) (K, error) {
	var none K
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if allowed != nil {
			if err := allowed(); err != nil {
				return none, fmt.Errorf("key file %s is missing: %w (%s)", path, err, advice)
			}
		}
		return makeKey(path, create)
	}
	if err != nil {
		return none, fmt.Errorf("read key file: %w (%s)", err, advice)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" {
		return none, fmt.Errorf("key file %s is damaged: it holds no PEM block \"PRIVATE KEY\" (%s)", path, advice)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return none, fmt.Errorf("key file %s is damaged: %w (%s)", path, err, advice)
	}
	key, ok := is(parsed)
	if !ok {
		return none, fmt.Errorf("key file %s holds a key of another kind (%T) (%s)", path, parsed, advice)
	}
	return key, nil
}

func makeKey[K any](path string, create func() (K, error)) (K, error) {
	var none K
	key, err := create()
	if err != nil {
		return none, fmt.Errorf("make key %s: %w", path, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return none, fmt.Errorf("make key %s: %w", path, err)
	}
	if err := publish(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), false); err != nil {
		return none, fmt.Errorf("keep new key: %w", err)
	}
	return key, nil
}

func readCertificate(path string) (*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("it is damaged: it holds no PEM block \"CERTIFICATE\"")
	}
	return x509.ParseCertificate(block.Bytes)
}

// publish makes a file appear whole and durable, or not at all. Without replace, a file that is there stays as it is,
// and that is an error.
func publish(path string, b []byte, replace bool) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // renamed or linked by then
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if replace {
		err = os.Rename(f.Name(), path)
	} else {
		err = os.Link(f.Name(), path) // unlike a rename, refuses to replace
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
