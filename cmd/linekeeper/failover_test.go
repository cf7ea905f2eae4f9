package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/service"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/mqtt"
	"github.com/linekeeper/linekeeper/uplink/tus"
	"github.com/linekeeper/linekeeper/wire"
)

// holes are the ways in which an address can be dead. Each gives the address to use in the place of one that works.
var holes = map[string]func(t *testing.T, works string) string{
	"takes connections and says nothing": func(t *testing.T, _ string) string {
		return listen(t).Addr().String() // the kernel takes them
	},
	"answers no connection": func(t *testing.T, _ string) string {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		fatal(t, err)
		t.Cleanup(func() { _ = unix.Close(fd) })
		fatal(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		fatal(t, unix.Listen(fd, 0)) // one connection fills its queue; the kernel drops the first packet of any other
		at, err := unix.Getsockname(fd)
		fatal(t, err)
		address := fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
		c, err := net.Dial("tcp", address)
		fatal(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return address
	},
	"falls silent in the middle of a call": func(t *testing.T, works string) string {
		const until = 8000 // bytes: behind the handshake, status and entries
		l := listen(t)
		go func() {
			for first := true; ; first = false {
				near, err := l.Accept()
				if err != nil {
					return
				}
				if !first { // and is silent from then on
					t.Cleanup(func() { _ = near.Close() })
					continue
				}
				far, err := net.Dial("tcp", works)
				if err != nil {
					_ = near.Close()
					return
				}
				t.Cleanup(func() { _, _ = near.Close(), far.Close() })
				go func() { _, _ = io.Copy(near, far) }()
				go func() { _, _ = io.CopyN(far, near, until) }() // and takes no more
			}
		}()
		return l.Addr().String()
	},
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFailoverFromABlackHole has the recorder's first choice of protocol be a black hole, of each kind: its calls come
// to headquarters, which is the real one, over the other, without a back-off between. How long it waits for the black hole
// is what docs/protocols.md says, but that here it is shorter.
func TestFailoverFromABlackHole(t *testing.T) {
	if page, err := os.ReadFile("../../docs/protocols.md"); err != nil || !strings.Contains(string(page), fmt.Sprintf("and 20 s: %.0f s at the most", uplink.Silence.Seconds())) {
		t.Errorf("docs/protocols.md does not say that a black hole is given up after %v (%v)", uplink.Silence, err)
	}
	for name, hole := range holes {
		for _, dead := range []string{"https", "mqtt"} {
			t.Run(dead+" "+name, func(t *testing.T) {
				t.Parallel()
				failover(t, dead, hole)
			})
		}
	}
}

const deadAfter = 400 * time.Millisecond // by default uplink.Silence

func failover(t *testing.T, dead string, hole func(*testing.T, string) string) {
	head, err := service.Open(t.Context(), service.Config{Data: filepath.Join(t.TempDir(), "hq"), Names: []string{"127.0.0.1"},
		Web: "127.0.0.1:0", Recorders: "127.0.0.1:0", MQTT: "127.0.0.1:0", Log: discard})
	fatal(t, err)
	serving, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- head.Run(serving, http.NotFoundHandler()) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	d, want := known(t, head)

	https, broker := head.RecordersAddress().String(), head.MQTTAddress().String()
	var first, second uplink.Transport
	if dead == "https" {
		first, err = tus.New("https://"+hole(t, https), d.id.tls, tus.Options{Stall: deadAfter})
		fatal(t, err)
		second, err = mqtt.New("mqtts://"+broker, d.id.tls, d.id.device, mqtt.Options{})
	} else {
		first, err = mqtt.New("mqtts://"+hole(t, broker), d.id.tls, d.id.device, mqtt.Options{Stall: deadAfter})
		fatal(t, err)
		second, err = tus.New("https://"+https, d.id.tls, tus.Options{})
	}
	fatal(t, err)
	delivered := make(chan call.ID, len(want))
	up, err := uplink.New(store{d.ring, d.time}, []uplink.Transport{first, second}, uplink.Config{
		Device: d.id.device, Epoch: d.ring.State().Epoch, ReceiptKey: d.id.receipt, Log: discard,
		Status: func() wire.Status { return wire.Status{} }, Observer: deliveries{observer{discard}, delivered},
	})
	fatal(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	began := time.Now()
	go func() { ran <- up.Run(ctx) }()
	for range want {
		<-delivered
	}
	t.Logf("%d calls in %v", len(want), time.Since(began).Round(time.Millisecond))
	via := up.Snapshot().Link
	cancel()
	<-ran
	if via != second.Name() {
		t.Errorf("they were delivered over %q", via)
	}
	for _, id := range want {
		c, err := head.Library().Call(t.Context(), id)
		if err != nil || c.Stage != hq.StageDurable {
			t.Errorf("call %s at headquarters: %+v, %v", id, c, err)
		}
	}
}

// deliveries tells of each call that was delivered.
type deliveries struct {
	observer
	to chan<- call.ID
}

func (d deliveries) Delivered(id call.ID) { d.to <- id }

// known is a recorder that headquarters knows, and that has calls in its ring.
func known(t *testing.T, head *service.Service) (*device, []call.ID) {
	t.Helper()
	dir := t.TempDir()
	cfg := newConfig()
	cfg.Data, cfg.Ring.Size, cfg.Encoder.Codec = dir, 64<<20, "flac"
	cfg.Uplink.HTTPS = "https://" + head.RecordersAddress().String()
	identityOf(t, head, cfg.identityDir())
	settings := settingsFile(t, fmt.Sprintf("data = %q\n[ring]\nsize = \"64MiB\"\n[encoder]\ncodec = \"flac\"\n[uplink]\nhttps = %q\n", dir, cfg.Uplink.HTTPS))
	if code, _, errs := linekeeper(t, "replay", wavFile(t, 8000, 1), "--keep", "--config", settings); code != 0 {
		t.Fatalf("replay: exit code %d: %s", code, errs)
	}
	id, err := loadIdentity(cfg.identityDir(), true, cfg.Uplink.HTTPS)
	fatal(t, err)
	clock, err := newSystemClock()
	fatal(t, err)
	d, err := openDevice(cfg, id, clock, observer{discard}, discard)
	fatal(t, err)
	t.Cleanup(func() { _ = d.ring.Close() })
	d.time, err = d.newTimekeeper(clock, discard)
	fatal(t, err)
	writing, stop := context.WithCancel(context.Background())
	written := make(chan error, 1)
	go func() { written <- d.ring.Run(writing) }()
	t.Cleanup(func() { stop(); <-written })
	calls, err := d.ring.Calls()
	if err != nil || len(calls) == 0 {
		t.Fatalf("%d calls in the ring, %v", len(calls), err)
	}
	var ids []call.ID
	for _, c := range calls {
		ids = append(ids, c.Header.Call)
	}
	return d, ids
}

// identityOf makes the identity of a recorder of this headquarters.
func identityOf(t *testing.T, head *service.Service, dir string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	fatal(t, err)
	certificate, err := head.Authority().IssueDevice(public)
	fatal(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	fatal(t, err)
	receipt, err := x509.MarshalPKIXPublicKey(head.Authority().ReceiptKey().Public())
	fatal(t, err)
	recipient, err := head.Authority().Recipient()
	fatal(t, err)
	fatal(t, os.MkdirAll(dir, 0o700))
	for name, content := range map[string][]byte{
		fileKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), "device.crt": certificate,
		fileAuthority: head.Authority().CertificatePEM(), fileReceipt: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: receipt}),
		fileRecipients: []byte(recipient + "\n"),
	} {
		fatal(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	fatal(t, head.Library().SaveRecorder(t.Context(), hq.Recorder{Device: call.DeviceIDOf(public), Key: public, Site: "Northam"}))
}
