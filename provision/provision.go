// Package provision makes a recorder one of headquarters', from the bundle on a USB stick (docs/format-bundle.md).
//
//	plan, err := provision.Judge(cfg, jws)  // all checks; changes nothing
//	err = plan.Apply()                      // all of it, or nothing
//
// Judge believes a bundle as docs/format-bundle.md says: a recorder that knows no headquarters takes one that is well signed
// (or is signed by the key that its image pins); later ones have to be signed by the same headquarters, be newer than the last,
// and be for this site or for this very recorder. A *RefusedError says why a bundle is not taken; it is safe to show.
//
// Apply makes a new identity folder beside the old one, syncs it, and exchanges the two in one step, so that a power cut at
// any moment leaves the one or the other. The recorder's key stays, and is made where there is none; it never leaves the
// recorder. The certificate stays where headquarters and site do; otherwise the recorder fetches one with the bundle's token when
// it next reaches headquarters (package uplink/enrol).
//
// The bundle's networks are NetworkManager's affair, whose profiles only root may write: Profiles and WriteProfiles are for
// another process (`linekeeper networks`), which has the bundle and nothing else of the recorder's.
package provision

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// Files of the identity folder.
const (
	FileKey        = "device.key"     // PKCS #8 PEM, Ed25519: made here, never leaves
	FileCert       = "device.crt"     // by headquarters' authority
	FileAuthority  = "hq-ca.crt"      // headquarters' authority, PEM
	FileReceipt    = "receipt.pub"    // headquarters' receipt key, PKIX PEM
	FileRecipients = "recipients.txt" // whom calls are sealed to, a line each
	FileSettings   = "settings.toml"  // the bundle's settings
	FileBundle     = "bundle.jws"     // the bundle, as signed
	FileToken      = "token"          // the bundle's, until it was used
)

// RefusedError says why a bundle is not taken.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *RefusedError) Unwrap() error { return e.Err }

func refuse(format string, args ...any) error { return &RefusedError{fmt.Errorf(format, args...)} }

// Config says which recorder it is.
type Config struct {
	Dir    string            // identity folder
	Pinned ed25519.PublicKey // receipt key of the only headquarters that a new recorder takes a bundle of; nil: any
	// Settings gives the settings as they are to stand, with what the recorder adds of its own, or says what is wrong with them;
	// nil: they stand as they are.
	Settings func(text string) (string, error)
}

// Plan is a bundle that was judged good.
type Plan struct {
	Bundle wire.Bundle
	Device call.DeviceID // of the recorder, also where its key is made only now
	Done   bool          // the very same bundle was applied before: there is nothing to do

	cfg      Config
	jws      string
	key      ed25519.PrivateKey
	settings string
	stays    bool // at its site
}

// Judge says whether a bundle is to be taken. It changes nothing. An error that is no *RefusedError is the recorder's own.
func Judge(cfg Config, jws string) (*Plan, error) {
	jws = strings.TrimSuffix(strings.TrimSuffix(jws, "\n"), "\r")
	known, err := receiptKey(cfg)
	if err != nil {
		return nil, err
	}
	b, err := wire.VerifyBundle(known, jws)
	if err != nil {
		return nil, &RefusedError{err}
	}
	p := &Plan{Bundle: b, cfg: cfg, jws: jws}
	if p.key, err = p.deviceKey(); err != nil {
		return nil, err
	}
	p.Device = call.DeviceIDOf(p.key.Public().(ed25519.PublicKey))
	if b.Device != "" && b.Device != p.Device {
		return nil, refuse("the bundle is for recorder %s, this is %s", b.Device, p.Device)
	}
	if err := p.follows(known); err != nil {
		return nil, err
	}
	p.settings = b.Settings
	if p.Done {
		return p, nil
	}
	if err := wire.CheckNetworks(b.Networks); err != nil {
		return nil, refuse("the bundle's networks: %w", err)
	}
	if cfg.Settings != nil {
		if p.settings, err = cfg.Settings(b.Settings); err != nil {
			return nil, refuse("the bundle's settings: %w", err)
		}
	}
	return p, nil
}

// receiptKey is that of the recorder's headquarters, or of the one that the image pins; nil: any will do.
func receiptKey(cfg Config) (ed25519.PublicKey, error) {
	text, err := os.ReadFile(filepath.Join(cfg.Dir, FileReceipt))
	if errors.Is(err, fs.ErrNotExist) {
		return cfg.Pinned, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read headquarters' receipt key: %w", err)
	}
	key, err := ParsePublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("headquarters' receipt key %s: %w", filepath.Join(cfg.Dir, FileReceipt), err)
	}
	return key, nil
}

// ParsePublicKey reads an Ed25519 public key, PKIX in PEM.
func ParsePublicKey(text []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it holds no PEM block")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	key, ok := parsed.(ed25519.PublicKey)
	if err != nil || !ok {
		return nil, errors.New("it is no Ed25519 key")
	}
	return key, nil
}

// deviceKey is the recorder's, or a new one.
func (p *Plan) deviceKey() (ed25519.PrivateKey, error) {
	file := filepath.Join(p.cfg.Dir, FileKey)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	if err != nil {
		return nil, fmt.Errorf("read device key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("device key %s is damaged: it holds no PEM block", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("device key %s is damaged: it is no Ed25519 key in PKCS #8", file)
	}
	return key, nil
}

// follows compares the bundle with the one before. known is nil where there is no headquarters yet.
func (p *Plan) follows(known ed25519.PublicKey) error {
	if _, err := os.Stat(filepath.Join(p.cfg.Dir, FileReceipt)); errors.Is(err, fs.ErrNotExist) {
		return nil // the first
	}
	text, err := os.ReadFile(filepath.Join(p.cfg.Dir, FileBundle))
	if errors.Is(err, fs.ErrNotExist) { // its identity was made at headquarters
		if p.Bundle.Device == "" {
			return refuse("this recorder has an identity already: make the bundle for it by name, with --device %s", p.Device)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the last bundle: %w", err)
	}
	last, err := wire.VerifyBundle(known, string(text))
	if err != nil {
		return fmt.Errorf("the last bundle %s is damaged: %w", filepath.Join(p.cfg.Dir, FileBundle), err)
	}
	switch {
	case string(text) == p.jws:
		p.Done = true
		return nil
	case p.Bundle.Number <= last.Number:
		return refuse("the bundle of %s is not newer than the one that this recorder has, of %s", p.Bundle.Time.Format("2006-01-02 15:04"), last.Time.Format("2006-01-02 15:04"))
	case p.Bundle.Site != last.Site && p.Bundle.Device == "":
		return refuse("the bundle is for site %q, this recorder is at %q: to move it, make the bundle with --device %s", p.Bundle.Site, last.Site, p.Device)
	}
	p.stays = p.Bundle.Site == last.Site
	return nil
}

// files are those of the new identity.
func (p *Plan) files() (map[string][]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return nil, err
	}
	receipt, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(p.Bundle.ReceiptKey))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		FileKey:        pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		FileAuthority:  []byte(p.Bundle.Authority),
		FileReceipt:    pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: receipt}),
		FileRecipients: []byte(strings.Join(p.Bundle.SealTo, "\n") + "\n"),
		FileSettings:   []byte(p.settings),
		FileBundle:     []byte(p.jws),
	}
	if p.stays {
		cert, err := os.ReadFile(filepath.Join(p.cfg.Dir, FileCert))
		if err == nil {
			files[FileCert] = cert
			return files, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	files[FileToken] = []byte(p.Bundle.Token + "\n")
	return files, nil
}

// Apply makes the recorder what the bundle says. When it returns without an error that survives a power cut; with one, or
// after a cut, the recorder is what it was, or what it was to become.
func (p *Plan) Apply() error {
	if p.Done {
		return nil
	}
	files, err := p.files()
	if err == nil {
		err = p.exchange(files)
	}
	if err != nil {
		return fmt.Errorf("apply the bundle: %w", err)
	}
	return nil
}

func (p *Plan) exchange(files map[string][]byte) error {
	next := p.cfg.Dir + ".new"
	if err := os.RemoveAll(next); err != nil { // of an Apply that was cut short
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.cfg.Dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(next, 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := writeFile(filepath.Join(next, name), content); err != nil {
			return err
		}
	}
	if err := syncFolder(next); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, next, unix.AT_FDCWD, p.cfg.Dir, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) { // the first
		err = os.Rename(next, p.cfg.Dir)
	}
	if err != nil {
		return err
	}
	return errors.Join(syncFolder(filepath.Dir(p.cfg.Dir)), os.RemoveAll(next)) // which is the old one now
}

func writeFile(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
