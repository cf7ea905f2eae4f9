package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
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
