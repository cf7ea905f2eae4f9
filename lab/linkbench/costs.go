package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq/service"
	"github.com/linekeeper/linekeeper/lab/bench/figures"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/mqtt"
	"github.com/linekeeper/linekeeper/uplink/tus"
	"github.com/linekeeper/linekeeper/wire"
)

// measureCosts tells what each step of a delivery costs in bytes of TCP, over a connection that is never cut.
func (b *bench) measureCosts(ctx context.Context) error {
	c := costs{bench: b}
	rows := [][]string{{"call of 40 KB, bytes up / down", "https", "mqtt"}}
	steps := []string{"TLS, first connection", "connected, with the status", "have", "entries", "call created", "call and its receipt", "TLS and status once more"}
	for _, step := range steps {
		rows = append(rows, []string{step})
	}
	for _, name := range []string{"https", "mqtt"} {
		all, err := c.deliver(ctx, name)
		if err != nil {
			return fmt.Errorf("costs over %s: %w", name, err)
		}
		for i := range steps {
			rows[i+1] = append(rows[i+1], fmt.Sprintf("%d / %d", all[i].up, all[i].down))
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.texts = append(b.texts, fmt.Sprintf("What a delivery costs, step by step (the call's file has %d bytes, its three entries %d):\n\n%s", c.file, c.entries, figures.Markdown(rows)))
	return nil
}

// costs is a recorder and headquarters in this program, with a counter between.
type costs struct {
	*bench
	dir     string
	hq      *service.Service
	stop    func() error
	file    int64 // bytes
	entries int
}

func (c *costs) open(ctx context.Context, protocol string) error {
	ring, err := c.template.backlog(1, small)
	if err != nil {
		return err
	}
	c.dir = filepath.Join(c.bench.dir, "costs-"+protocol)
	for from, to := range map[string]string{filepath.Join(c.template.dir, "hq"): "hq", ring: "recorder"} {
		if err := copyTree(from, filepath.Join(c.dir, to)); err != nil {
			return err
		}
	}
	c.hq, err = service.Open(ctx, service.Config{
		Data: filepath.Join(c.dir, "hq"), Names: []string{"127.0.0.1"}, Web: "127.0.0.1:0", Recorders: "127.0.0.1:0", MQTT: "127.0.0.1:0",
	})
	if err != nil {
		return err
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.hq.Run(running, http.NotFoundHandler()) }()
	c.stop = func() error { cancel(); return <-ended }
	return nil
}

func (c *costs) close() error { return errors.Join(c.stop(), os.RemoveAll(c.dir)) }

// identity is the recorder's, for TLS.
func (c *costs) identity() (cfg *tls.Config, device call.DeviceID, err error) {
	dir := filepath.Join(c.template.dir, "identity")
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "device.crt"), filepath.Join(dir, "device.key"))
	if err != nil {
		return nil, "", err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "hq-ca.crt"))
	if err != nil {
		return nil, "", err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: "127.0.0.1"}, call.DeviceID(pair.Leaf.Subject.CommonName), nil
}

// deliver delivers the call over one protocol and gives what each step has cost.
func (c *costs) deliver(ctx context.Context, protocol string) (all []traffic, err error) {
	if err := c.open(ctx, protocol); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	cfg, device, err := c.identity()
	if err != nil {
		return nil, err
	}
	to := c.hq.RecordersAddress()
	if protocol == "mqtt" {
		to = c.hq.MQTTAddress()
	}
	counter, err := newCounter(to.String())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, counter.Close()) }()
	bare, err := tls.Dial("tcp", counter.Addr().String(), uplink.TLS(cfg))
	if err != nil {
		return nil, err
	}
	if err := bare.Close(); err != nil {
		return nil, err
	}
	handshake := counter.step()
	all = append(all, handshake)

	var t uplink.Transport
	if protocol == "mqtt" {
		t, err = mqtt.New("mqtts://"+counter.Addr().String(), cfg, device, mqtt.Options{})
	} else {
		t, err = tus.New("https://"+counter.Addr().String(), cfg, tus.Options{})
	}
	if err != nil {
		return nil, err
	}
	say := func() error {
		return t.Status(ctx, wire.Status{
			Device: device, Online: true, Time: time.Now().UTC(), Software: "0.1.0", State: call.StateIdle,
			Lines:   []wire.LineStatus{{Line: "front desk", LevelDB: -61.5, Calls: 1}},
			Waiting: wire.Waiting{Calls: 1, Bytes: small, Entries: 3, Link: protocol},
			Ring:    wire.RingStatus{SizeBytes: ringBytes, FreeBytes: ringBytes - small, FreeHours: 9.1}, Clock: call.GradeNTP,
		})
	}
	if err := say(); err != nil {
		return nil, err
	}
	status := counter.step()
	all = append(all, traffic{status.up - handshake.up, status.down - handshake.down})
	steps, err := c.rest(ctx, t, counter)
	if err != nil {
		return nil, err
	}
	all = append(all, steps...)
	if err := errors.Join(t.Close(), say()); err != nil {
		return nil, err
	}
	return append(all, counter.step()), t.Close()
}

// rest is what comes after the status.
func (c *costs) rest(ctx context.Context, t uplink.Transport, counter *counter) (all []traffic, err error) {
	ring, _, err := buffer.Open(buffer.Options{
		Dir: filepath.Join(c.dir, "recorder", "ring"), Index: filepath.Join(c.dir, "recorder", t.Name()+".db"), SizeBytes: ringBytes, Header: seal.ParseHeader, Entry: ledger.Parse,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	var waiting call.Waiting
	ring.EachWaiting(func(w call.Waiting) bool { waiting = w; return true })
	if _, err := t.Have(ctx, wire.HaveQuestion{Epoch: ring.State().Epoch, Calls: []call.ID{waiting.Call}}); err != nil {
		return nil, err
	}
	all = append(all, counter.step())
	entries, err := ring.Entries(10)
	if err != nil {
		return nil, err
	}
	var batch wire.EntryBatch
	c.entries = 0
	for _, e := range entries {
		batch.Entries = append(batch.Entries, string(e.JWS))
		c.entries += len(e.JWS)
	}
	if _, err := t.Entries(ctx, batch); err != nil {
		return nil, err
	}
	all = append(all, counter.step())
	stored, err := ring.Call(waiting.Call)
	if err != nil {
		return nil, err
	}
	file, err := ring.OpenCall(waiting.Call)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	c.file = file.Size()
	var created atomic.Bool
	read := readerAt(func(p []byte, off int64) (int, error) {
		if created.CompareAndSwap(false, true) {
			all = append(all, counter.step())
		}
		return file.ReadAt(p, off)
	})
	_, err = t.Deliver(ctx, uplink.File{
		Call: waiting.Call, Size: file.Size(), SHA256: stored.Manifest.SHA256, Bytes: read,
		Save: func([]byte) error { return nil }, Progress: func(int64, int64) {},
	})
	return append(all, counter.step()), err
}

type readerAt func(p []byte, off int64) (int, error)

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r(p, off) }

// traffic is bytes of TCP.
type traffic struct{ up, down int64 }

// counter passes TCP on and counts it.
type counter struct {
	net.Listener
	up, down atomic.Int64
	last     traffic
}

func newCounter(to string) (*counter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &counter{Listener: l}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			go pass(far, near, &c.up)
			go pass(near, far, &c.down)
		}
	}()
	return c, nil
}

func pass(to, from net.Conn, count *atomic.Int64) {
	_, _ = io.Copy(to, io.TeeReader(from, counting{count}))
	_ = to.Close()
}

type counting struct{ n *atomic.Int64 }

func (c counting) Write(p []byte) (int, error) { c.n.Add(int64(len(p))); return len(p), nil }

// step is what has passed since the last step, once nothing more comes: acknowledgements follow an answer.
func (c *counter) step() traffic {
	now := traffic{-1, -1}
	for next := (traffic{c.up.Load(), c.down.Load()}); next != now; next = (traffic{c.up.Load(), c.down.Load()}) {
		now = next
		time.Sleep(50 * time.Millisecond)
	}
	d := traffic{now.up - c.last.up, now.down - c.last.down}
	c.last = now
	return d
}
