// Package authority is headquarters' own certificate authority. Recorders trust nobody else, and headquarters lets
// nobody else in: the authority signs the certificates of recorders and of headquarters' servers, and holds the key
// that signs receipts and those that open calls.
//
//	a, err := authority.Open("/var/lib/linekeeper-hq/authority", time.Now)
//	pem, err := a.IssueDevice(recorderKey)                  // goes into the recorder's identity
//	cfg, err := a.RecorderTLS([]string{"hq.example", "192.0.2.7"}) // mutual TLS 1.3 for its listeners
//
// # The folder
//
// The folder (mode 0700, files 0600) holds
//
//	ca.key       the authority's key, ECDSA P-256      precious: without it every recorder needs a new identity
//	ca.crt       its certificate                       goes to every recorder
//	receipt.key  the key of receipts, Ed25519          precious: recorders release calls on its word only
//	call.keys    the keys that open calls, age X25519  precious: without them no call can be heard, by nobody, ever
//	server.key   the key of headquarters' servers, ECDSA P-256
//	server.crt   their certificate, renewed by itself when the names change or its end is near
//
// What is missing in an empty folder is made. A key that is there is never overwritten: one that cannot be read is an
// error that names the file and what to do. The authority is ECDSA, since browsers do not take Ed25519; recorders' own
// keys are Ed25519.
package authority

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// How long certificates are valid. A recorder renews its own when half of the time is over; one that was off for longer
// may still renew it, and do nothing else. Who is no longer wanted is shut out by headquarters' library, not by a date.
const (
	caLife     = 30 * 365 * 24 * time.Hour
	deviceLife = 365 * 24 * time.Hour
	brokerLife = 20 * 365 * 24 * time.Hour // of a broker beside headquarters, which nobody renews
	serverLife = 365 * 24 * time.Hour      // browsers on Apple's systems refuse more than 825 days
	renewLeft  = serverLife / 3            // a server certificate with less left than this is renewed
	backdate   = 30 * 24 * time.Hour       // recorders' clocks may be behind
)

// Authority is an opened folder of keys. It is safe for concurrent use.
type Authority struct {
	dir     string
	now     func() time.Time
	ca      *x509.Certificate
	caKey   *ecdsa.PrivateKey
	receipt ed25519.PrivateKey

	mu   sync.Mutex                     // one renewal of the server certificate at a time
	ours map[[sha256.Size]byte]struct{} // certificates that were found to be of this authority, by their hash
}

// Open opens the authority in a folder and makes what is not there yet.
func Open(dir string, now func() time.Time) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of the certificate authority: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("shut folder of the certificate authority to others: %w", err)
	}
	a := &Authority{dir: dir, now: now}
	var err error
	if a.caKey, err = loadOrMake(a.path("ca.key"), precious, newECDSA, parseECDSA, a.absent("ca.crt")); err != nil {
		return nil, err
	}
	if a.receipt, err = loadOrMake(a.path("receipt.key"), precious, newEd25519, parseEd25519, nil); err != nil {
		return nil, err
	}
	if a.ca, err = a.loadCA(); err != nil {
		return nil, err
	}
	return a, a.makeCallKeys()
}

// CertificatePEM is the authority's certificate, which recorders and browsers are given to trust.
func (a *Authority) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.ca.Raw})
}

// ReceiptKey signs receipts. Its public half is in every recorder.
func (a *Authority) ReceiptKey() ed25519.PrivateKey { return a.receipt }

// IssueDevice gives the certificate (PEM) by which the holder of the key is let in as a recorder: its common name is
// the device ID that follows from the key.
func (a *Authority) IssueDevice(pub ed25519.PublicKey) ([]byte, error) {
	if len(pub) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("issue a recorder's certificate: a key of %d bytes is not an Ed25519 public key", len(pub))
	}
	now := a.now()
	der, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: string(call.DeviceIDOf(pub))},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(deviceLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, pub)
	if err != nil {
		return nil, fmt.Errorf("issue a recorder's certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func (a *Authority) path(name string) string { return filepath.Join(a.dir, name) }

// absent is a condition for making a key: a certificate without its key means that the key was lost, and a new one in
// its place would shut every recorder out without a word.
func (a *Authority) absent(name string) func() error {
	return func() error {
		if _, err := os.Stat(a.path(name)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is there without it", a.path(name))
		}
		return nil
	}
}

func (a *Authority) loadCA() (*x509.Certificate, error) {
	path := a.path("ca.crt")
	cert, err := readCertificate(path)
	if errors.Is(err, os.ErrNotExist) {
		return a.makeCA(path)
	}
	if err == nil && !a.caKey.PublicKey.Equal(cert.PublicKey) {
		err = fmt.Errorf("it is not the certificate of %s", a.path("ca.key"))
	}
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate %s: %w (restore it from a backup)", path, err)
	}
	return cert, nil
}

func (a *Authority) makeCA(path string) (*x509.Certificate, error) {
	now := a.now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Linekeeper headquarters"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	var err error
	if template.SerialNumber, err = serial(); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.caKey.PublicKey, a.caKey)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := publish(path, block, false); err != nil {
		return nil, fmt.Errorf("keep the authority's certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// sign fills in the serial number and signs.
func (a *Authority) sign(template *x509.Certificate, pub any) ([]byte, error) {
	var err error
	if template.SerialNumber, err = serial(); err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, template, a.ca, pub, a.caKey)
}

func serial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return n, nil
}

func newECDSA() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func newEd25519() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

func parseECDSA(key any) (*ecdsa.PrivateKey, bool) {
	k, ok := key.(*ecdsa.PrivateKey)
	return k, ok && k.Curve == elliptic.P256()
}

func parseEd25519(key any) (ed25519.PrivateKey, bool) {
	k, ok := key.(ed25519.PrivateKey)
	return k, ok
}
