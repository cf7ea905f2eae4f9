package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// sent is what headquarters has answered.
type sent struct {
	topic   string
	payload []byte
}

// outbox takes answers in place of a broker.
type outbox struct{ all []sent }

func (o *outbox) Publish(topic string, payload []byte) error {
	o.all = append(o.all, sent{topic, payload})
	return nil
}

// sender publishes as a recorder to a receiver without a broker between.
type sender struct {
	*device
	out     outbox
	attempt string
}

func (s *sender) publish(topic string, payload []byte) {
	s.w.in.receive(context.Background(), &s.out, message{topic: topic, payload: payload, packetID: 7})
}

// file sends a command of a file transfer and gives the answer's reason, and the receipt if one came too.
func (s *sender) command(f file, c wire.FileCommand, payload []byte) (reason, receipt string) {
	s.w.t.Helper()
	c.File = wire.FileID{Device: s.id, Call: f.id, Attempt: s.attempt}
	s.out.all = nil
	s.publish(c.Topic(), payload)
	for _, m := range s.out.all {
		switch m.topic {
		case wire.TopicFileResponse(s.id):
			var r wire.FileResponse
			must(s.w.t, json.Unmarshal(m.payload, &r))
			if r.Version != "0.1" || r.Topic != c.Topic() || r.PacketID != 7 || (r.ReasonCode == 0) != (r.Description == wire.FileSuccess) {
				s.w.t.Fatalf("answer %+v", r)
			}
			reason = r.Description
		case wire.TopicReceipt(s.id):
			var a wire.ReceiptAnswer
			must(s.w.t, json.Unmarshal(m.payload, &a))
			receipt = a.Receipt
		default:
			s.w.t.Fatalf("answer on %s", m.topic)
		}
	}
	return reason, receipt
}

func (s *sender) init(f file) string {
	s.w.t.Helper()
	reason, _ := s.command(f, wire.FileCommand{Verb: wire.FileInit}, initOf(f))
	return reason
}

func initOf(f file) []byte { return []byte(`{"name":"` + f.id.String() + `.lkc"}`) }

func (s *sender) segment(f file, offset int, b []byte) string {
	s.w.t.Helper()
	reason, _ := s.command(f, wire.FileCommand{Verb: wire.FileSegment, Offset: int64(offset)}, b)
	return reason
}

// segments sends those of the file from..to.
func (s *sender) segments(f file, from, to int) {
	s.w.t.Helper()
	for at := from; at < to; at += wire.SegmentSize {
		if reason := s.segment(f, at, f.bytes[at:min(at+wire.SegmentSize, len(f.bytes))]); reason != wire.FileSuccess {
			s.w.t.Fatalf("segment at %d: %s", at, reason)
		}
	}
}

func (s *sender) fin(f file) (reason, receipt string) {
	s.w.t.Helper()
	return s.command(f, wire.FileCommand{Verb: wire.FileFinish, Size: int64(len(f.bytes)), SHA256: f.sha}, nil)
}

func (s *sender) expect(what, got, want string) {
	s.w.t.Helper()
	if got != want && (want != wire.FileRefused || !strings.HasPrefix(got, want+": ")) {
		s.w.t.Fatalf("%s: %q, want %q", what, got, want)
	}
}

func TestFileTransferIsTakenUpAgain(t *testing.T) {
	w := newWorld(t)
	s := &sender{device: w.device(), attempt: "0000000a"}
	f := s.device.file(100_000)
	s.expect("init", s.init(f), wire.FileSuccess)
	s.expect("the same init", s.init(f), wire.FileSuccess)
	s.segments(f, 0, 40_960)
	s.segments(f, 16_384, 24_576) // again
	reason, _ := s.fin(f)
	s.expect("too early", reason, wire.FileIncomplete)

	w.restart()
	s.expect("init after a restart", s.init(f), wire.FileSuccess)
	reason, _ = s.command(f, wire.FileCommand{Verb: wire.FileInit}, []byte(`{"name":"x"}`))
	s.expect("another init", reason, wire.FileMetaConflict)
	s.segments(f, 40_960, len(f.bytes))
	reason, receipt := s.fin(f)
	s.expect("fin", reason, wire.FileSuccess)
	s.verify(receipt, f)
	s.durable(f)

	// Whatever is repeated, the same receipt comes back, and nothing is spooled again.
	reason, again := s.fin(f)
	s.expect("fin again", reason, wire.FileSuccess)
	if again != receipt {
		t.Error("another receipt")
	}
	s.expect("a late segment", s.segment(f, 0, f.bytes[:wire.SegmentSize]), wire.FileSuccess)
	s.attempt = "0000000b"
	reason, again = s.command(f, wire.FileCommand{Verb: wire.FileInit}, initOf(f))
	s.expect("a new attempt", reason, wire.FileSuccess)
	if again != receipt {
		t.Error("no receipt at a new attempt")
	}
	s.durable(f)
}

func TestFileTransferRefusals(t *testing.T) {
	w := newWorld(t)
	s, other := &sender{device: w.device(), attempt: "0000000a"}, w.device()
	f := s.device.file(20_000)
	s.expect("segment of nothing", s.segment(f, 0, f.bytes[:100]), wire.FileIncomplete)
	s.expect("init", s.init(f), wire.FileSuccess)

	reason, _ := s.command(f, wire.FileCommand{Verb: wire.FileSegment, SHA256: f.sha}, f.bytes[:8192])
	s.expect("segment with another hash", reason, wire.FileChecksumMismatch)
	s.expect("empty segment", s.segment(f, 0, nil), wire.FileRefused)
	s.expect("too far", s.segment(f, 1<<20, []byte{1}), wire.FileRefused)
	s.expect("overflow", s.segment(f, 1<<63-1, []byte{1}), wire.FileRefused)

	s.segments(f, 0, len(f.bytes))
	wrong := bytes.Clone(f.bytes[8192:16384])
	wrong[0] ^= 1
	s.expect("other bytes of a segment", s.segment(f, 8192, wrong), wire.FileSuccess)
	reason, receipt := s.fin(f)
	s.expect("wrong bytes", reason, wire.FileChecksumMismatch)
	if receipt != "" {
		t.Error("a receipt for wrong bytes")
	}
	s.spoolEmpty()
	reason, _ = s.fin(f)
	s.expect("given up", reason, wire.FileIncomplete)

	// Overlapping segments fill no gap.
	s.expect("init", s.init(f), wire.FileSuccess)
	s.expect("first", s.segment(f, 0, f.bytes[:9000]), wire.FileSuccess)
	s.expect("overlapping", s.segment(f, 8192, f.bytes[8192:]), wire.FileSuccess)
	reason, _ = s.fin(f)
	s.expect("overlaps", reason, wire.FileIncomplete)
	s.expect("adjoining", s.segment(f, 9000, f.bytes[9000:]), wire.FileSuccess)
	reason, receipt = s.fin(f)
	s.expect("odd boundaries", reason, wire.FileSuccess)
	s.verify(receipt, f)

	// Files that are not what their names say.
	for what, bad := range map[string]file{
		"another recorder's file": makeFile(t, other.id, call.NewID(), 100),
		"another call's file":     fileOf(call.NewID(), f.bytes),
		"other bytes of a call":   makeFile(t, s.id, f.id, 50),
		"not a call file":         fileOf(call.NewID(), []byte("text")),
	} {
		s.attempt = "0000000c"
		if what == "other bytes of a call" { // init alone is answered with the receipt of what is here
			w.in.transfers.loaded[wire.FileID{Device: s.id, Call: bad.id, Attempt: s.attempt}] = nil
			must(t, w.in.transfers.begin(wire.FileID{Device: s.id, Call: bad.id, Attempt: s.attempt}, initOf(bad)))
		} else {
			s.expect(what, s.init(bad), wire.FileSuccess)
		}
		s.segments(bad, 0, len(bad.bytes))
		reason, receipt := s.fin(bad)
		s.expect(what, reason, wire.FileRefused)
		if receipt != "" {
			t.Errorf("%s: a receipt", what)
		}
	}
	s.spoolEmpty()

	for what, payload := range map[string]string{"not JSON": "{", "no name": "{}", "a path": `{"name":"../x"}`, "long": `{"name":"` + strings.Repeat("x", 241) + `"}`} {
		reason, _ := s.command(s.device.file(1), wire.FileCommand{Verb: wire.FileInit}, []byte(payload))
		s.expect(what, reason, wire.FileRefused)
	}
	stranger := &sender{device: w.stranger(), attempt: "0000000a"}
	stranger.expect("unknown recorder", stranger.init(stranger.device.file(1)), wire.FileRefused)
	s.spoolEmpty()
}

func TestFileTransferWaitsForRoom(t *testing.T) {
	w := newWorld(t)
	s := &sender{device: w.device(), attempt: "0000000a"}
	f := s.device.file(100)
	w.room.Store(1)
	s.expect("init", s.init(f), wire.FileTimeout)
	w.room.Store(1 << 30)
	s.expect("init", s.init(f), wire.FileSuccess)
	w.room.Store(1)
	s.expect("segment", s.segment(f, 0, f.bytes), wire.FileTimeout)
	w.room.Store(1 << 30)
	s.segments(f, 0, len(f.bytes))
	broken := &brokenFiles{w.files, true}
	w.in.cfg.Files = broken
	reason, _ := s.fin(f)
	s.expect("fin", reason, wire.FileTimeout)
	broken.broken = false
	reason, receipt := s.fin(f)
	s.expect("fin", reason, wire.FileSuccess)
	s.verify(receipt, f)
	s.durable(f)
}

func TestANewTransferClearsTheOldOneAway(t *testing.T) {
	w := newWorld(t)
	s := &sender{device: w.device(), attempt: "0000000a"}
	f := s.device.file(100)
	s.expect("init", s.init(f), wire.FileSuccess)
	s.segments(f, 0, len(f.bytes))
	s.attempt = "0000000b"
	s.expect("init", s.init(f), wire.FileSuccess)
	s.attempt = "0000000a"
	reason, _ := s.fin(f)
	s.expect("the old one", reason, wire.FileIncomplete)
	if logs, _ := filepath.Glob(filepath.Join(w.dir, "spool", "mqtt", "*")); len(logs) != 1 {
		t.Errorf("spool: %v", logs)
	}
}

func TestDamagedLogs(t *testing.T) {
	w := newWorld(t)
	s := &sender{device: w.device(), attempt: "0000000a"}
	f := s.device.file(30_000)
	s.expect("init", s.init(f), wire.FileSuccess)
	s.segments(f, 0, len(f.bytes))
	path := w.in.transfers.path(wire.FileID{Device: s.id, Call: f.id, Attempt: s.attempt})
	whole, err := os.ReadFile(path)
	must(t, err)
	flip := func(at int) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 0x10
		return b
	}
	first := recordHead + len(initOf(f))
	for what, tc := range map[string]struct {
		log  []byte
		want string // of a fin
	}{
		"whole":                {whole, wire.FileSuccess},
		"torn":                 {whole[:len(whole)-1], wire.FileIncomplete},
		"torn in a head":       {whole[:first+5], wire.FileIncomplete},
		"empty":                {nil, wire.FileIncomplete},
		"init damaged":         {flip(recordHead + 2), wire.FileIncomplete},
		"length damaged":       {flip(first + 7), wire.FileIncomplete},
		"offset damaged":       {flip(first + 12), wire.FileIncomplete},
		"bytes damaged":        {flip(first + recordHead + 100), wire.FileIncomplete},
		"rubbish after it all": {append(bytes.Clone(whole), 1, 2, 3), wire.FileSuccess},
	} {
		t.Run(what, func(t *testing.T) {
			must(t, os.WriteFile(path, tc.log, 0o600))
			w.in.transfers.forget(filepath.Base(path))
			have, err := readLog(bytes.NewReader(tc.log), 1<<20)
			must(t, err)
			got := wire.FileIncomplete
			if have != nil {
				if _, err := w.in.transfers.assemble(wire.FileID{Device: s.id, Call: f.id, Attempt: s.attempt}, int64(len(f.bytes))); err == nil {
					got = wire.FileSuccess
				}
			}
			if got != tc.want {
				t.Fatalf("%s, want %s", got, tc.want)
			}
			// What is missing can be sent again, over what is damaged.
			if have != nil {
				s.segments(f, 0, len(f.bytes))
				w.in.transfers.forget(filepath.Base(path))
				if _, err := w.in.transfers.assemble(wire.FileID{Device: s.id, Call: f.id, Attempt: s.attempt}, int64(len(f.bytes))); err != nil {
					t.Errorf("mended: %v", err)
				}
			}
		})
	}
}

// listen opens a port on loopback.
func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return l
}

// serve runs f until the test ends.
func serve(t testing.TB, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// broker starts the embedded one and gives its URL.
func (w *world) broker() string {
	l := listen(w.t)
	cfg, err := w.authority.RecorderTLS([]string{"127.0.0.1"})
	must(w.t, err)
	serve(w.t, func(ctx context.Context) error { return w.in.ServeBroker(ctx, l, cfg) })
	return "tls://" + l.Addr().String()
}

// allowAll is a broker without rules.
type allowAll struct{ mochi.HookBase }

func (*allowAll) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}
func (*allowAll) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (*allowAll) OnACLCheck(*mochi.Client, string, bool) bool              { return true }

// elsewhere starts a broker of someone else, which headquarters subscribes to.
func (w *world) elsewhere() string {
	server := mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)})
	must(w.t, server.AddHook(new(allowAll), nil))
	tcp := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	must(w.t, server.AddListener(tcp))
	must(w.t, server.Serve())
	w.t.Cleanup(func() { _ = server.Close() })
	url := "tcp://" + tcp.Address()
	serve(w.t, func(ctx context.Context) error { return w.in.Attach(ctx, External{URL: url}) })
	for len(server.Topics.Subscribers("$file-async/x/init").Subscriptions) == 0 { // it subscribes beside us
		select {
		case <-time.After(time.Millisecond):
		case <-w.t.Context().Done():
			w.t.Fatal("headquarters does not subscribe")
		}
	}
	return url
}

// client is a recorder at a broker.
type client struct {
	*device
	paho.Client
	answers chan sent
}

func (d *device) options(url string) *paho.ClientOptions {
	o := paho.NewClientOptions().AddBroker(url).SetClientID(string(d.id)).SetCleanSession(false).SetAutoReconnect(false).SetConnectTimeout(10 * time.Second)
	if strings.HasPrefix(url, "tls:") {
		o.SetTLSConfig(d.tls())
	}
	return o
}

func (d *device) connect(o *paho.ClientOptions) (*client, error) {
	c := &client{device: d, answers: make(chan sent, 100)}
	o.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { c.answers <- sent{m.Topic(), m.Payload()} })
	c.Client = paho.NewClient(o)
	token := c.Connect()
	token.Wait()
	if token.Error() != nil {
		c.Disconnect(0)
		return nil, token.Error()
	}
	d.w.t.Cleanup(func() { c.Disconnect(100) })
	return c, nil
}

func (c *client) send(topic string, v any) {
	c.w.t.Helper()
	b, ok := v.([]byte)
	if !ok {
		var err error
		b, err = json.Marshal(v)
		must(c.w.t, err)
	}
	token := c.Publish(topic, 1, false, b)
	token.Wait()
	must(c.w.t, token.Error())
}

// answer waits for the next one on a topic.
func (c *client) answer(topic string, v any) {
	c.w.t.Helper()
	select {
	case m := <-c.answers:
		if m.topic != topic {
			c.w.t.Fatalf("answer on %s, want %s: %s", m.topic, topic, m.payload)
		}
		must(c.w.t, json.Unmarshal(m.payload, v))
	case <-time.After(10 * time.Second):
		c.w.t.Fatalf("no answer on %s", topic)
	}
}

func (c *client) subscribe(topics ...string) {
	c.w.t.Helper()
	for _, topic := range topics {
		token := c.Subscribe(topic, 1, nil)
		token.Wait()
		must(c.w.t, token.Error())
		if granted := token.(*paho.SubscribeToken).Result()[topic]; granted != 1 {
			c.w.t.Fatalf("subscribe to %s: %d", topic, granted)
		}
	}
}

func TestACallOverMQTT(t *testing.T) {
	for name, start := range map[string]func(*world) string{"embedded broker": (*world).broker, "another broker": (*world).elsewhere} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			url := start(w)
			d := w.device()
			c, err := d.connect(d.options(url))
			must(t, err)
			c.subscribe(wire.TopicFileResponse(d.id), wire.TopicReceipt(d.id), wire.TopicHad(d.id))
			c.send(wire.TopicStatus(d.id), wire.Status{Device: d.id, Online: true, Software: "1.0"})
			w.event(EventOnline)

			f := d.file(20_000)
			c.send(wire.TopicEntries(d.id), d.entries(9, f))
			var a wire.ReceiptAnswer
			if c.answer(wire.TopicReceipt(d.id), &a); a.Receipt == "" {
				t.Fatalf("entries: %s", a.Error)
			}
			file := wire.FileID{Device: d.id, Call: f.id, Attempt: "00000001"}
			commands := []wire.FileCommand{{File: file, Verb: wire.FileInit}}
			payloads := [][]byte{initOf(f)}
			for at := 0; at < len(f.bytes); at += wire.SegmentSize {
				commands = append(commands, wire.FileCommand{File: file, Verb: wire.FileSegment, Offset: int64(at)})
				payloads = append(payloads, f.bytes[at:min(at+wire.SegmentSize, len(f.bytes))])
			}
			for i, command := range commands {
				c.send(command.Topic(), payloads[i])
				var r wire.FileResponse
				if c.answer(wire.TopicFileResponse(d.id), &r); r.Topic != command.Topic() || r.ReasonCode != 0 {
					t.Fatalf("answer %+v", r)
				}
			}
			c.send(wire.FileCommand{File: file, Verb: wire.FileFinish, Size: int64(len(f.bytes)), SHA256: f.sha}.Topic(), []byte{})
			c.answer(wire.TopicReceipt(d.id), &a)
			d.verify(a.Receipt, f)
			var r wire.FileResponse
			if c.answer(wire.TopicFileResponse(d.id), &r); r.Description != wire.FileSuccess {
				t.Fatalf("fin: %+v", r)
			}
			if e := w.event(EventDelivered); e.Call != f.id || e.Via != "mqtt" {
				t.Errorf("event %+v", e)
			}
			d.durable(f)
			var had wire.HaveAnswer
			c.send(wire.TopicHave(d.id), wire.HaveQuestion{Epoch: 9, Calls: []call.ID{f.id}})
			if c.answer(wire.TopicHad(d.id), &had); had.Entries != 2 || len(had.Receipts) != 2 || had.Receipts[0] != a.Receipt {
				t.Errorf("had %+v", had)
			}
			c.send(wire.TopicEntries(d.id), []byte("{"))
			if c.answer(wire.TopicReceipt(d.id), &a); a.Error == "" {
				t.Errorf("malformed entries: %+v", a)
			}
			r0, err := w.library.Recorder(t.Context(), d.id)
			if err != nil || r0.Via != "mqtt" || r0.Status == nil || r0.Status.Software != "1.0" {
				t.Errorf("recorder %+v, %v", r0, err)
			}
		})
	}
}

func TestTheBrokerKeepsRecordersApart(t *testing.T) {
	w := newWorld(t)
	url := w.broker()
	d, other := w.device(), w.device()
	for what, o := range map[string]*paho.ClientOptions{
		"another's client ID":  d.options(url).SetClientID(string(other.id)),
		"a will of another's":  d.options(url).SetWill(wire.TopicStatus(other.id), "{}", 1, true),
		"not known here":       w.stranger().options(url),
		"TLS without identity": d.options(url).SetTLSConfig(w.anonymous(d)),
	} {
		if _, err := d.connect(o); err == nil {
			t.Errorf("%s: let in", what)
		}
	}
	c, err := d.connect(d.options(url))
	must(t, err)
	for _, topic := range []string{"#", "$file-async/#", "$file-response/+", wire.FilterDevices, wire.TopicReceipt(other.id), wire.TopicFileResponse(other.id), "$share/x/#"} {
		token := c.Subscribe(topic, 1, nil)
		token.Wait()
		for _, granted := range token.(*paho.SubscribeToken).Result() {
			if token.Error() == nil && granted != 128 {
				t.Errorf("subscribed to %s", topic)
			}
		}
	}
	f := makeFile(t, other.id, call.NewID(), 100)
	for _, topic := range []string{wire.TopicStatus(other.id), wire.FileCommand{File: wire.FileID{Device: other.id, Call: f.id, Attempt: "00000001"}, Verb: wire.FileInit}.Topic()} {
		lost := make(chan struct{})
		o := d.options(url).SetConnectionLostHandler(func(paho.Client, error) { close(lost) })
		c, err := d.connect(o)
		must(t, err)
		c.Publish(topic, 1, false, initOf(f))
		select {
		case <-lost:
		case <-time.After(10 * time.Second):
			t.Errorf("published to %s", topic)
		}
	}
	d.spoolEmpty()
	if r, err := w.library.Recorder(t.Context(), other.id); err != nil || r.Status != nil {
		t.Errorf("the other's status: %+v, %v", r.Status, err)
	}
}

func TestLastWill(t *testing.T) {
	w := newWorld(t)
	url := w.broker()
	d := w.device()
	will, err := json.Marshal(wire.OfflineStatus(d.id))
	must(t, err)
	options := func() *paho.ClientOptions {
		return d.options(url).SetBinaryWill(wire.TopicStatus(d.id), will, 1, true)
	}
	online := func() bool {
		r, err := w.library.Recorder(t.Context(), d.id)
		must(t, err)
		return r.Status != nil && r.Status.Online
	}
	var dialled net.Conn
	first := options()
	first.SetCustomOpenConnectionFn(opener(d, &dialled))
	a, err := d.connect(first)
	must(t, err)
	a.send(wire.TopicStatus(d.id), wire.Status{Device: d.id, Online: true})
	w.event(EventOnline)

	// A second connection takes the place of the first: the recorder is not gone.
	second := options()
	second.SetCustomOpenConnectionFn(opener(d, &dialled))
	b, err := d.connect(second)
	must(t, err)
	b.send(wire.TopicStatus(d.id), wire.Status{Device: d.id, Online: true})
	if !online() {
		t.Error("offline after it was taken over")
	}
	must(t, dialled.Close()) // the link is cut
	w.event(EventOffline)
	if online() {
		t.Error("online after its last will")
	}
}

func TestTheReceiverSaysWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	for _, url := range []string{"", "broker.test", "tls://"} {
		if err := w.in.Attach(t.Context(), External{URL: url}); err == nil || !strings.Contains(err.Error(), "tls://") {
			t.Errorf("%q: %v", url, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.in.Attach(ctx, External{URL: "tcp://127.0.0.1:1"}); err != nil { // nobody is there, and that may change
		t.Error(err)
	}
	if _, err := Open(ctx, w.config()); !errors.Is(err, context.Canceled) {
		t.Errorf("open while stopping: %v", err)
	}
}

func FuzzMessages(f *testing.F) {
	w := newWorld(f)
	d := w.device()
	good := d.file(100)
	file := wire.FileID{Device: d.id, Call: good.id, Attempt: "00000001"}
	f.Add(wire.FileCommand{File: file, Verb: wire.FileInit}.Topic(), initOf(good))
	f.Add(wire.FileCommand{File: file, Verb: wire.FileSegment}.Topic(), good.bytes)
	f.Add(wire.FileCommand{File: file, Verb: wire.FileFinish, Size: int64(len(good.bytes)), SHA256: good.sha}.Topic(), []byte{})
	f.Add(wire.FileCommand{File: file, Verb: wire.FileFinish, Size: 1 << 62}.Topic(), []byte{})
	f.Add(wire.TopicStatus(d.id), []byte(`{"device":"`+string(d.id)+`","online":true}`))
	f.Add(wire.TopicHave(d.id), []byte(`{"epoch":"0000000000009","calls":[]}`))
	batch, err := json.Marshal(d.entries(9, good))
	must(f, err)
	f.Add(wire.TopicEntries(d.id), batch)
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		var out outbox
		w.in.receive(context.Background(), &out, message{topic: topic, payload: payload})
		for _, m := range out.all {
			if !strings.Contains(m.topic, string(d.id)) {
				// Other well-formed device IDs are answered that they are not known, at their own topic.
				if _, ok := (message{topic: topic}).device(); !ok {
					t.Errorf("answered to %s", m.topic)
				}
			}
			if !json.Valid(m.payload) {
				t.Errorf("answer %q", m.payload)
			}
		}
		for len(w.events) > 0 {
			<-w.events
		}
	})
}

func FuzzLog(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		have, err := readLog(bytes.NewReader(b), 1<<16)
		if err != nil {
			t.Fatal(err)
		}
		if have == nil {
			return
		}
		if have.size > int64(len(b)) {
			t.Errorf("log of %d bytes in %d", have.size, len(b))
		}
		for offset, e := range have.segments {
			if offset < 0 || e.length <= 0 || e.at+e.length > int64(len(b)) {
				t.Errorf("segment %d: %+v of %d bytes", offset, e, len(b))
			}
		}
	})
}
