// Package mqtt delivers call files over MQTT 3.1.1 with the asynchronous form of EMQX's file transfer, and beside them
// status, entries and questions, as docs/protocols.md has them. The receiver is headquarters, behind its own broker or
// any other.
//
//	t, err := mqtt.New("mqtts://hq.example:8883", tlsConfig, device, mqtt.Options{})
//
// A call file goes out in segments of 8 KiB of which three are under way at a time. Only the receiver's own answer on
// $file-response counts, never a PUBACK, and what it has acknowledged is kept, so that after a cut or a restart only the
// rest is sent, with the same boundaries and a byte-identical init. The end of a transfer is the receipt. Of a call in
// progress the segments that are whole go out; the rest and fin follow when it has ended.
//
// Of eclipse/paho.mqtt.golang only the packets are relied on: it keeps no store (the ring decides what is sent again),
// does not reconnect (the uplink does), and its publish tokens, which can report success without an acknowledgement,
// are believed in nothing that matters.
package mqtt

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// Name is the transport's name in status and logs.
const Name = "mqtt"

// longestAnswer bounds the wait for an answer even while something else still moves over the link.
const longestAnswer = 10 * time.Minute

// Options may be left zero.
type Options struct {
	Traffic *uplink.Traffic // where what goes is counted and held down; nil: nowhere

	Stall     time.Duration // the link is given up after nothing has come for so long, at the most; 0: uplink.Silence
	KeepAlive time.Duration // whole seconds; 0: 60 s
	Receipt   time.Duration // how long the receipt may come after the end of a transfer; 0: 30 s
}

// Transport implements uplink.Transport.
type Transport struct {
	host    string // with port
	tls     *tls.Config
	device  call.DeviceID
	opts    Options
	weak    bool // the receiver is not headquarters: see EMQX
	network uplink.Network
	proxy   func(*url.URL) (*url.URL, error)

	mu      sync.Mutex
	link    *link // nil: none
	online  bool  // as the last status said
	growing map[call.ID]growing
}

// New gives a transport to a broker's address, mqtts://HOST[:PORT]. cfg holds the device's certificate and
// headquarters' authority; it is not changed. Nothing is connected yet.
func New(address string, cfg *tls.Config, device call.DeviceID, opts Options) (*Transport, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("broker's address: %w", err)
	}
	if u.Scheme != "mqtts" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("broker's address %q: want mqtts://HOST:PORT", address)
	}
	port := u.Port()
	if port == "" {
		port = "8883"
	}
	if cfg == nil {
		return nil, errors.New("broker: no TLS configuration")
	}
	cfg = uplink.TLS(cfg)
	if cfg.ServerName == "" {
		cfg.ServerName = u.Hostname()
	}
	opts.Stall = orDefault(opts.Stall, uplink.Silence)
	opts.KeepAlive = orDefault(opts.KeepAlive, time.Minute)
	opts.Receipt = orDefault(opts.Receipt, 30*time.Second)
	t := &Transport{host: net.JoinHostPort(u.Hostname(), port), tls: cfg, device: device, opts: opts, proxy: uplink.ProxyFromEnvironment()}
	t.network.Traffic = opts.Traffic
	return t, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Name implements uplink.Transport.
func (t *Transport) Name() string { return Name }

// Lost implements uplink.Transport.
func (t *Transport) Lost() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.link == nil {
		return nil
	}
	return t.link.lost
}

// Status implements uplink.Transport: the status is retained, so that whoever comes later knows it too. To say that it
// is offline the recorder does not connect first.
func (t *Transport) Status(ctx context.Context, s wire.Status) error {
	return t.Open(ctx, s, func() {})
}

// Open implements uplink.Pipelined: nothing waits for the answers to CONNECT, SUBSCRIBE and the status.
func (t *Transport) Open(ctx context.Context, s wire.Status, standing func()) error {
	ctx, stop := t.network.Watch(ctx, t.opts.Stall)
	defer stop()
	l, err := t.connected()
	if err != nil {
		if !s.Online {
			return nil
		}
		if l, err = t.connect(ctx); err != nil {
			return cause(ctx, err)
		}
	}
	payload := wire.LastWill(t.device)
	if s.Online {
		if payload, err = json.Marshal(s); err != nil {
			return fmt.Errorf("encode status: %w", err)
		}
	}
	token, err := l.hand(ctx, wire.TopicStatus(t.device), true, payload)
	if err == nil {
		standing()
		err = l.acknowledged(ctx, token)
	}
	if err != nil {
		return fmt.Errorf("publish status: %w", cause(ctx, err))
	}
	t.mu.Lock()
	t.online = s.Online
	t.mu.Unlock()
	return nil
}

// connected gives the link, if it stands.
func (t *Transport) connected() (*link, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.link != nil {
		select {
		case <-t.link.lost:
			t.link = nil
		default:
			return t.link, nil
		}
	}
	return nil, errLost
}

func (t *Transport) connect(ctx context.Context) (*link, error) {
	l, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.link = l
	return l, nil
}

// Have implements uplink.Transport.
func (t *Transport) Have(ctx context.Context, q wire.HaveQuestion) (wire.HaveAnswer, error) {
	question, err := json.Marshal(q)
	if err != nil {
		return wire.HaveAnswer{}, fmt.Errorf("encode question: %w", err)
	}
	m, err := t.ask(ctx, wire.TopicHave(t.device), question, func(m any) bool {
		_, ok := m.(wire.HaveAnswer)
		return ok || isComplaint(m, wire.AboutHave)
	})
	if err != nil {
		return wire.HaveAnswer{}, err
	}
	if a, ok := m.(wire.ReceiptAnswer); ok {
		return wire.HaveAnswer{}, complaint(a)
	}
	a, _ := m.(wire.HaveAnswer)
	return a, nil
}

// isComplaint tells a message in which headquarters says why it does not answer a question. About a call it complains on
// $file-response.
func isComplaint(message any, about string) bool {
	a, ok := message.(wire.ReceiptAnswer)
	return ok && a.Receipt == "" && (a.About == "" || a.About == about)
}

// complaint is what an answer without a receipt means.
func complaint(a wire.ReceiptAnswer) error {
	if a.Later <= 0 {
		return &uplink.RefusedError{Reason: a.Error}
	}
	return &uplink.BusyError{After: time.Duration(a.Later) * time.Second, Err: fmt.Errorf("headquarters answers: %s", a.Error)}
}

// Entries implements uplink.Transport.
func (t *Transport) Entries(ctx context.Context, b wire.EntryBatch) (string, error) {
	first, known := firstEntry(b)
	batch, err := wire.Pack(b)
	if err != nil {
		return "", err
	}
	m, err := t.ask(ctx, wire.TopicEntries(t.device), batch, func(m any) bool {
		a, ok := m.(wire.ReceiptAnswer)
		if !ok || a.Receipt == "" {
			return isComplaint(m, wire.AboutEntries)
		}
		r, err := peek[call.Receipt](a.Receipt)
		late := known && (r.Epoch != first.Epoch || first.Number < r.First || first.Number > r.Last)
		return err == nil && r.Call == nil && !late
	})
	if err != nil {
		return "", err
	}
	a, _ := m.(wire.ReceiptAnswer)
	if a.Receipt == "" {
		return "", complaint(a)
	}
	return a.Receipt, nil
}

// ask publishes a question and gives the message that wanted takes for its answer.
func (t *Transport) ask(ctx context.Context, topic string, question []byte, wanted func(message any) bool) (any, error) {
	l, err := t.connected()
	if err != nil {
		return nil, err
	}
	in := l.listen(wanted)
	defer in.close()
	ctx, cancel := context.WithTimeout(ctx, longestAnswer)
	defer cancel()
	ctx, stop := t.network.Watch(ctx, t.opts.Stall)
	defer stop()
	if err := l.publish(ctx, topic, question); err != nil {
		return nil, fmt.Errorf("publish on %s: %w", topic, cause(ctx, err))
	}
	select {
	case m := <-in.messages:
		return m, nil
	case <-l.lost:
		err = l.why(errLost)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, fmt.Errorf("answer to %s: %w", topic, cause(ctx, err))
}

// cause prefers the watch's reason to "context canceled".
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil && errors.Is(err, ctx.Err()) {
		return c
	}
	return err
}

// Close implements uplink.Transport. After a status that said offline it takes leave of the broker; otherwise it just
// drops the connection, so that the broker publishes the last will.
func (t *Transport) Close() error {
	t.mu.Lock()
	l, online := t.link, t.online
	t.link = nil
	t.mu.Unlock()
	if l != nil && !online {
		l.client.Disconnect(250)
	}
	t.network.Cut()
	return nil
}
