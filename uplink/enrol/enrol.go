// Package enrol gets a recorder its certificate from headquarters: the first with the token that came with its bundle, and
// every later one with the one before, long before that ends.
//
//	e, err := enrol.Open("/var/lib/linekeeper/identity", key, enrol.Options{Address: "https://hq.example:8444", TLS: cfg})
//	cfg.GetClientCertificate = e.Certificate
//	err = e.Ready(ctx, log)   // before each connection: asks headquarters where there is no certificate, or half of its time is over
//
// In the folder, device.crt is the certificate and token the token, which is removed when it has done its work; the
// certificate is durable before that. A certificate that is in use is never given up for one that is not for this recorder's
// key. A recorder that was off until its certificate ended renews it all the same: headquarters lets it, unless it
// was shut out.
package enrol

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// Files of the identity folder.
const (
	FileCertificate = "device.crt"
	FileToken       = "token"
)

const (
	patience  = 2 * time.Minute // for one question, over 9.6 kbit/s
	maxAnswer = 64 << 10
	tryAgain  = time.Hour // after a renewal that failed while the certificate still holds
)

// ErrNoToken says that the recorder has neither a certificate nor a token to ask for one with.
var ErrNoToken = errors.New("this recorder has no certificate, and no token to ask headquarters for one: put in a stick with a bundle for it")

// Options are what an Enroller needs besides its folder and key.
type Options struct {
	Address string           // of headquarters, https://HOST:PORT; empty: nobody can be asked, and the certificate lasts as long as it does
	TLS     *tls.Config      // headquarters' authority as RootCAs; it is cloned
	Now     func() time.Time // nil: time.Now
}

// Enroller keeps a recorder's certificate. It is safe for concurrent use.
type Enroller struct {
	dir  string
	key  ed25519.PrivateKey
	opts Options

	clock func() (now time.Time, known bool)

	asking sync.Mutex // one question at a time; and of unsure
	unsure int        // how often it was to be ready while the time was not known

	mu      sync.Mutex
	current *tls.Certificate // nil: none yet
	later   time.Time        // no renewal before
}

// Open reads the certificate in the folder, where there is one.
func Open(dir string, key ed25519.PrivateKey, opts Options) (*Enroller, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	e := &Enroller{dir: dir, key: key, opts: opts, clock: func() (time.Time, bool) { return opts.Now(), true }}
	text, err := os.ReadFile(e.path(FileCertificate))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(e.path(FileToken)); err != nil {
			return nil, ErrNoToken
		}
		return e, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read device certificate: %w", err)
	}
	if e.current, err = e.parse(text); err != nil {
		return nil, fmt.Errorf("device certificate %s: %w", e.path(FileCertificate), err)
	}
	return e, nil
}

func (e *Enroller) path(name string) string { return filepath.Join(e.dir, name) }

// parse takes a certificate that is for this recorder's key.
func (e *Enroller) parse(text []byte) (*tls.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("it holds no PEM block CERTIFICATE")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	public := e.key.Public().(ed25519.PublicKey)
	if !public.Equal(leaf.PublicKey) {
		return nil, fmt.Errorf("it is of %q, and this recorder's key makes it %q", leaf.Subject.CommonName, call.DeviceIDOf(public))
	}
	if name := leaf.Subject.CommonName; call.DeviceID(name) != call.DeviceIDOf(public) {
		return nil, fmt.Errorf("it names %q, and this recorder is %q", name, call.DeviceIDOf(public))
	}
	return &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: e.key, Leaf: leaf}, nil
}

// GoBy sets the clock by which the certificate is judged, in the place of Options.Now; known says that now is more than the
// earliest that it can be. It is called before Ready.
func (e *Enroller) GoBy(clock func() (now time.Time, known bool)) { e.clock = clock }

// Certificate is a tls.Config's GetClientCertificate: the one in hand, or none.
func (e *Enroller) Certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil {
		return new(tls.Certificate), nil
	}
	return e.current, nil
}

// Ready sees to it that there is a certificate, and that it is not near its end. It asks headquarters where there is none,
// where it has ended or may have, or where half of its time is over; in the last two cases a failure is logged, and no error.
func (e *Enroller) Ready(ctx context.Context, log *slog.Logger) error {
	e.asking.Lock()
	defer e.asking.Unlock()
	e.mu.Lock()
	current, later := e.current, e.later
	e.mu.Unlock()
	now, known := e.clock()
	switch {
	case current == nil:
		return e.enrol(ctx, log)
	case e.opts.Address == "" || now.Before(later):
		return nil
	case now.After(current.Leaf.NotAfter):
		if err := e.renew(ctx, log); err != nil {
			return fmt.Errorf("renew the certificate that ended on %s: %w", current.Leaf.NotAfter.Format(time.DateOnly), err)
		}
	case now.Sub(current.Leaf.NotBefore) > current.Leaf.NotAfter.Sub(current.Leaf.NotBefore)/2:
		if err := e.renew(ctx, log); err != nil {
			e.mu.Lock()
			e.later = now.Add(tryAgain)
			e.mu.Unlock()
			log.Warn("the recorder's certificate is not renewed yet", "ends", current.Leaf.NotAfter.Format(time.DateOnly), "error", err)
		}
	case !known:
		e.mayHaveEnded(ctx, log)
	}
	return nil
}

// mayHaveEnded renews a certificate of which nobody knows whether it has ended, where the recorder is not let in: that it
// is to be ready a second time, and still does not know the time, which headquarters would have told, says so.
func (e *Enroller) mayHaveEnded(ctx context.Context, log *slog.Logger) {
	const every = 8 // of the attempts to connect: it is not why most of them fail
	if e.unsure++; e.unsure%every != 2 {
		return
	}
	if err := e.renew(ctx, log); err != nil {
		log.Debug("the recorder's certificate, which may have ended, is not renewed", "error", err)
	}
}

func (e *Enroller) enrol(ctx context.Context, log *slog.Logger) error {
	if e.opts.Address == "" {
		return errors.New("enrol: only headquarters' HTTPS address gives certificates, and the settings name none ([uplink] https)")
	}
	token, err := os.ReadFile(e.path(FileToken))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoToken
	}
	if err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	if err := e.ask(ctx, wire.PathEnrol, wire.NewEnrolment(e.key, strings.TrimSpace(string(token)))); err != nil {
		return fmt.Errorf("enrol at %s: %w", e.opts.Address, err)
	}
	if err := os.Remove(e.path(FileToken)); err != nil {
		log.Warn("the used token stays", "error", err)
	}
	log.Info("enrolled", "at", e.opts.Address)
	return nil
}

func (e *Enroller) renew(ctx context.Context, log *slog.Logger) error {
	err := e.ask(ctx, wire.PathRenew, struct{}{})
	if err == nil {
		log.Info("the recorder's certificate is renewed")
	}
	return err
}

// ask sends a question over a connection of its own, and keeps the certificate that it is answered with.
func (e *Enroller) ask(ctx context.Context, path string, question any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(e.opts.Address, "/")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	var network uplink.Network
	cfg := e.opts.TLS.Clone()
	cfg.Certificates, cfg.GetClientCertificate = nil, e.Certificate
	transport := &http.Transport{DialContext: network.Dial, Proxy: http.ProxyFromEnvironment, TLSClientConfig: cfg, TLSHandshakeTimeout: patience}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := client.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
	if err != nil {
		return err
	}
	var a wire.CertificateAnswer
	if err := json.Unmarshal(text, &a); err != nil || r.StatusCode != http.StatusOK {
		return fmt.Errorf("headquarters answers %s: %s", r.Status, firstLine(a.Error, string(text)))
	}
	return e.keep([]byte(a.Certificate))
}

func firstLine(texts ...string) string {
	for _, text := range texts {
		if text, _, _ = strings.Cut(strings.TrimSpace(text), "\n"); text != "" {
			return text[:min(len(text), 300)]
		}
	}
	return "nothing"
}

// keep makes a certificate the one in use, durably.
func (e *Enroller) keep(text []byte) error {
	cert, err := e.parse(text)
	if err != nil {
		return fmt.Errorf("the certificate that headquarters gave is not taken: %w", err)
	}
	if err := publish(e.path(FileCertificate), text); err != nil {
		return fmt.Errorf("keep the new certificate: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current = cert
	return nil
}

// publish writes a file that is there whole or as it was before, whatever happens.
func publish(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // renamed by then, or of no use
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
