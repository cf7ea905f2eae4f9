package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/badlink"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
)

// template is what each run begins with a copy of: headquarters with one recorder known, that recorder's identity, rings
// with calls to deliver, and for the others a file and a certificate.
type template struct {
	dir string

	mu sync.Mutex // of making rings

	certificate    string // of the others' servers, and its key
	certificateKey string
	sshKey         string // of curl, and of its server: the public half is beside it
}

// hqSettings are headquarters' settings in a folder; the web pages are for nobody.
func hqSettings(dir string) string {
	return fmt.Sprintf("data = %q\nnames = [%q]\n\n[listen]\nweb = \"127.0.0.1:8443\"\nrecorders = \"%s:8444\"\nmqtt = \"%s:8883\"\n",
		dir, badlink.FarAddress, badlink.FarAddress, badlink.FarAddress)
}

func makeTemplate(dir, hqProgram string) (*template, error) {
	t := &template{dir: dir,
		certificate: filepath.Join(dir, "peer.crt"), certificateKey: filepath.Join(dir, "peer.key"), sshKey: filepath.Join(dir, "ssh"),
	}
	hq := filepath.Join(dir, "hq")
	if err := os.MkdirAll(hq, 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "hq.toml")
	if err := os.WriteFile(config, []byte(hqSettings(hq)), 0o600); err != nil {
		return nil, err
	}
	out, err := exec.Command(hqProgram, "recorder", "add", "--site", "Bench", "--out", filepath.Join(dir, "identity"), "--config", config).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("make a recorder's identity: %w: %s", err, out)
	}
	if out, err = exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", t.sshKey).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a key for curl: %w: %s", err, out)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where sshd wants to go when it has forked
		return nil, err
	}
	return t, t.makeCertificate()
}

// makeCertificate makes the certificate of the others' servers, which signs itself.
func (t *template) makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	about := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peer"}, IPAddresses: []net.IP{net.ParseIP(badlink.FarAddress)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, &about, &about, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(t.certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644),
		os.WriteFile(t.certificateKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o644))
}

// backlog gives the folder of a ring with so many calls of a size, and makes it on the first time.
func (t *template) backlog(calls, size int) (dir string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	dir = filepath.Join(t.dir, fmt.Sprintf("ring-%dx%d", calls, size))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	identity := filepath.Join(t.dir, "identity")
	text, err := os.ReadFile(filepath.Join(identity, "device.key"))
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "", errors.New("device.key holds no PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return "", err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return "", errors.New("device.key is no Ed25519 key")
	}
	text, err = os.ReadFile(filepath.Join(identity, "recipients.txt"))
	if err != nil {
		return "", err
	}
	to, err := seal.ParseRecipients(string(text))
	if err != nil {
		return "", err
	}
	return dir, makeRing(dir, key, to, calls, size)
}

// makeRing fills a new ring as a recorder would have.
func makeRing(dir string, key ed25519.PrivateKey, to seal.Recipients, calls, size int) (err error) {
	ring, _, err := buffer.Open(buffer.Options{
		Dir: filepath.Join(dir, "ring"), Index: filepath.Join(dir, "index.db"), SizeBytes: ringBytes, Header: seal.ParseHeader, Entry: ledger.Parse,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	device := call.DeviceIDOf(key.Public().(ed25519.PublicKey))
	f := filler{ring: ring, to: to, device: device, epoch: ring.State().Epoch}
	f.ledger = ledger.New(ledger.State{Device: device, Epoch: f.epoch, Next: 1}, key)
	if err := f.entry(call.Entry{Type: call.EntryEpoch, Anchor: f.anchor()}); err != nil {
		return err
	}
	for range calls {
		if err := f.call(size); err != nil {
			return fmt.Errorf("make a ring of %d calls: %w", calls, err)
		}
		if err := ring.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// filler writes calls into a ring.
type filler struct {
	ring   *buffer.Ring
	ledger *ledger.Ledger
	device call.DeviceID
	to     seal.Recipients
	epoch  call.Epoch
}

func (f *filler) anchor() call.Anchor {
	return call.Anchor{BootID: "00000000-0000-4000-8000-000000000000", BootTime: time.Hour, Wall: time.Now().UTC(), Grade: call.GradeNTP}
}

func (f *filler) entry(e call.Entry) error {
	_, err := f.ledger.Add(e, f.store)
	return err
}

func (f *filler) store(number uint64, jws []byte) error {
	return f.ring.Append(call.Record{Kind: call.KindEntry, Number: uint32(number), Data: jws})
}

// call writes one whose file has as nearly the size as chunks of a second, here random bytes, allow.
func (f *filler) call(size int) error {
	const rate, perSecond = 8000, 2000
	h := call.Header{
		Call: call.NewID(), Device: f.device, Epoch: f.epoch, Began: call.BeganVoice, Line: "front desk", Codec: call.Opus, Channels: 1, Rate: rate, Anchor: f.anchor(),
	}
	var w *seal.Writer
	var records []call.Record
	_, err := f.ledger.Add(call.Entry{Type: call.EntryBegin, Anchor: h.Anchor, Call: &h.Call, Line: h.Line, Reason: h.Began}, func(number uint64, jws []byte) (err error) {
		h.Number = number
		if w, records, err = seal.NewWriter(h, f.to); err != nil {
			return err
		}
		return f.store(number, jws)
	})
	if err != nil {
		return err
	}
	const endBytes = 150 // about
	var frames int64
	for w.Size()+endBytes < int64(size) {
		media := make([]byte, min(perSecond, max(1, size-endBytes-int(w.Size())-60)))
		_, _ = rand.Read(media) // never fails (crypto/rand)
		chunk, err := w.Chunk(frames, rate, media)
		if err != nil {
			return err
		}
		records = append(records, chunk)
		frames += rate
	}
	end, err := w.End(call.End{Reason: call.EndedSilence, Frames: frames})
	if err != nil {
		return err
	}
	for _, r := range append(records, end) {
		if err := f.ring.Append(r); err != nil {
			return err
		}
	}
	return f.entry(call.Entry{Type: call.EntryEnd, Anchor: h.Anchor, Call: &h.Call, Line: h.Line, Manifest: &call.Manifest{
		Began: h.Began, Ended: call.EndedSilence, Anchor: h.Anchor, Duration: float64(frames) / rate, Frames: frames, Rate: rate,
		Codec: h.Codec, Channels: 1, Gaps: []call.Gap{}, Size: w.Size(), SHA256: w.SHA256(), Chain: w.Chain(), Software: "bench",
	}})
}
