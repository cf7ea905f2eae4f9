package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	crypto "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/lab/station"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/mqtt"
	"github.com/linekeeper/linekeeper/uplink/tus"
	"github.com/linekeeper/linekeeper/wire"
)

// recorder is one of the crowd: what the uplink has of it.
type recorder struct {
	device    call.DeviceID
	tls       *tls.Config
	files     [2][]file // for each protocol
	transport uplink.Transport
}

type file struct {
	id    call.ID
	sum   string
	bytes []byte
}

// prepare makes headquarters, and makes the recorders known to it, before it is started.
func (c *crowd) prepare() (err error) {
	if c.head, err = station.NewHeadquarters(filepath.Join(c.bin, "linekeeper-hq"), filepath.Join(c.dir, "hq"), "", "", "", nil); err != nil {
		return err
	}
	ca, err := authority.Open(filepath.Join(c.head.Dir, "authority"), time.Now)
	if err != nil {
		return err
	}
	lib, err := library.Open(filepath.Join(c.head.Dir, "library.db"), time.Now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lib.Close()) }()
	recipient, err := ca.Recipient()
	if err != nil {
		return err
	}
	to, err := seal.ParseRecipients(recipient)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CertificatePEM())
	for n := range c.recorders {
		r, key, err := newRecorder(ca, roots)
		if err != nil {
			return err
		}
		known := hq.Recorder{Device: r.device, Site: fmt.Sprintf("Office %d", n), Key: key, Added: time.Now()}
		if err := lib.SaveRecorder(context.Background(), known); err != nil {
			return err
		}
		for way := range r.files {
			for i := range c.calls {
				f, err := newFile(r.device, uint64(2*i+1), c.size, to)
				if err != nil {
					return err
				}
				r.files[way] = append(r.files[way], f)
			}
		}
		c.all = append(c.all, r)
	}
	return nil
}

func newRecorder(ca *authority.Authority, roots *x509.CertPool) (*recorder, ed25519.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, err
	}
	text, err := ca.IssueDevice(public)
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(text)
	return &recorder{device: call.DeviceIDOf(public), tls: &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{block.Bytes}, PrivateKey: private}}, RootCAs: roots, MinVersion: tls.VersionTLS13,
	}}, public, nil
}

// newFile makes a sealed call file whose media has so many bytes, which nothing compresses.
func newFile(device call.DeviceID, number uint64, size int, to seal.Recipients) (file, error) {
	id := call.NewID()
	w, records, err := seal.NewWriter(call.Header{
		Call: id, Device: device, Epoch: 1, Number: number, Began: call.BeganVoice, Line: "line 1", Codec: call.Opus, Channels: 1, Rate: 8000,
		Anchor: call.Anchor{BootID: "lab/crowd", Wall: time.Now().UTC(), Grade: call.GradeNTP},
	}, to)
	if err != nil {
		return file{}, err
	}
	media := make([]byte, size)
	_, _ = crypto.Read(media) // never fails (crypto/rand)
	chunk, err := w.Chunk(0, 8000, media)
	if err != nil {
		return file{}, err
	}
	end, err := w.End(call.End{Reason: call.EndedSilence, Frames: 8000})
	if err != nil {
		return file{}, err
	}
	var b bytes.Buffer
	for _, rec := range append(records, chunk, end) {
		b.Write(rec.Data)
	}
	sum := sha256.Sum256(b.Bytes())
	return file{id: id, sum: hex.EncodeToString(sum[:]), bytes: b.Bytes()}, nil
}

// atOnce bounds the handshakes that are under way together: a thousand offices do not come back in the same millisecond.
const atOnce = 64

// deliver connects all over one protocol, and has them deliver their calls.
func (c *crowd) deliver(ctx context.Context, way string, n int) (connected, took time.Duration, again int64, err error) {
	begin := time.Now()
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, r := range c.all {
		group.Go(func() error { return r.connect(working, way, c.head) })
	}
	if err := group.Wait(); err != nil {
		return 0, 0, 0, err
	}
	connected = time.Since(begin)
	key, err := receiptKey(c.head)
	if err != nil {
		return 0, 0, 0, err
	}
	begin = time.Now()
	var retried atomic.Int64
	group, working = errgroup.WithContext(ctx)
	for _, r := range c.all {
		group.Go(func() error {
			for _, f := range r.files[n] {
				if err := r.deliver(working, f, key, &retried); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return connected, time.Since(begin), retried.Load(), err
}

func receiptKey(h *station.Headquarters) (ed25519.PublicKey, error) {
	ca, err := authority.Open(filepath.Join(h.Dir, "authority"), time.Now)
	if err != nil {
		return nil, err
	}
	return ca.ReceiptKey().Public().(ed25519.PublicKey), nil
}

func (r *recorder) connect(ctx context.Context, way string, h *station.Headquarters) (err error) {
	if way == "https" {
		r.transport, err = tus.New("https://"+h.Recorders, r.tls, tus.Options{})
	} else {
		r.transport, err = mqtt.New("mqtts://"+h.MQTT, r.tls, r.device, mqtt.Options{})
	}
	if err != nil {
		return err
	}
	return r.online(ctx)
}

func (r *recorder) online(ctx context.Context) error {
	return r.transport.Status(ctx, wire.Status{Device: r.device, Online: true, Time: time.Now(), State: call.StateIdle, Clock: call.GradeNTP, Lines: []wire.LineStatus{}})
}

// deliver delivers one call until it has the receipt, as the uplink does.
func (r *recorder) deliver(ctx context.Context, f file, key ed25519.PublicKey, retried *atomic.Int64) error {
	var state []byte
	var last error
	for attempt := range 10 {
		if attempt > 0 {
			retried.Add(1)
			select {
			case <-time.After(time.Second + rand.N(time.Second)): // as the uplink's first waits
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		var later *uplink.LaterError
		if attempt > 0 && !errors.As(last, &later) { // the link has failed
			_ = r.transport.Close()
			if last = r.online(ctx); last != nil {
				continue
			}
		}
		var receipt string
		receipt, last = r.transport.Deliver(ctx, uplink.File{
			Call: f.id, Size: int64(len(f.bytes)), SHA256: f.sum, Bytes: bytes.NewReader(f.bytes), State: state,
			Save: func(s []byte) error { state = s; return nil }, Progress: func(int64, int64) {},
		})
		if last == nil {
			return check(key, receipt, f)
		}
	}
	return fmt.Errorf("recorder %s does not get call %s through: %w", r.device, f.id, last)
}

// check wants the receipt to be for the file.
func check(key ed25519.PublicKey, receipt string, f file) error {
	got, err := wire.VerifyReceipt(key, receipt)
	if err == nil && (got.Call == nil || *got.Call != f.id || got.SHA256 != f.sum) {
		err = errors.New("the receipt is for something else")
	}
	return err
}

func (r *recorder) hangUp() { _ = r.transport.Close() }

// memory is what a process has in memory, and the most that it ever had.
func memory(pid int) (resident, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			resident = kib << 10
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			peak = kib << 10
		}
	}
	return resident, peak, err
}
