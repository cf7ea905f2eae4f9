package mqtt

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

const (
	// QoS. What headquarters sends goes once: an acknowledgement of each answer costs a slow link, and what a cut has lost
	// is asked for again at the next connection.
	atMostOnce, atLeastOnce = 0, 1

	inboxSize = 64 // far more than can be under way
)

var errLost = errors.New("connection to the broker is lost")

// link is one connection to the broker, from its CONNECT to its end. It is not used again.
type link struct {
	client   paho.Client
	lost     chan struct{} // closed when it has ended
	commands *inbox        // all that come

	mu      sync.Mutex
	refused error // why the broker ended it, as far as it says
	inboxes map[*inbox]struct{}
	begun   map[string]struct{} // attempts of calls in progress whose init has been answered
}

// inbox takes the messages that somebody waits for.
type inbox struct {
	link     *link
	wanted   func(message any) bool // called under link.mu
	messages chan any               // wire.FileResponse, wire.ReceiptAnswer, wire.HaveAnswer, wire.CommandList
}

// dial connects and subscribes to all that headquarters sends.
func (t *Transport) dial(ctx context.Context) (*link, error) {
	l := &link{lost: make(chan struct{}), inboxes: make(map[*inbox]struct{}), begun: make(map[string]struct{})}
	l.commands = l.listen(func(m any) bool { _, ok := m.(wire.CommandList); return ok })
	l.client = paho.NewClient(t.options(ctx, l))
	if err := wait(ctx, l.client.Connect()); err != nil {
		t.network.Cut() // ends an attempt that goes on
		return nil, fmt.Errorf("connect to broker %s: %w", t.host, err)
	}
	topics := map[string]byte{wire.TopicFileResponse(t.device): atMostOnce}
	if !t.weak {
		topics[wire.TopicReceipt(t.device)], topics[wire.TopicHad(t.device)] = atMostOnce, atMostOnce
		topics[wire.TopicCommand(t.device, 0)] = atLeastOnce // none is asked for again
	}
	subscribed := l.client.SubscribeMultiple(topics, nil)
	if t.weak { // it answers nothing but files, and these it has to
		err := wait(ctx, subscribed)
		if err == nil {
			err = granted(subscribed)
		}
		if err != nil {
			t.network.Cut()
			return nil, fmt.Errorf("subscribe at broker %s: %w", t.host, err)
		}
		return l, nil
	}
	go func() { // what is published meanwhile is answered behind it
		select {
		case <-subscribed.Done():
			if err := granted(subscribed); err != nil {
				l.refuse(fmt.Errorf("subscribe at broker %s: %w", t.host, err))
				t.network.Cut()
			}
		case <-l.lost:
		}
	}()
	return l, nil
}

// granted says whether the broker took every subscription.
func granted(token paho.Token) error {
	err := token.Error()
	if s, ok := token.(*paho.SubscribeToken); ok && err == nil {
		for topic, granted := range s.Result() {
			if granted > 2 { // 0x80: refused
				err = errors.Join(err, fmt.Errorf("broker refuses %s", topic))
			}
		}
	}
	return err
}

func (t *Transport) options(ctx context.Context, l *link) *paho.ClientOptions {
	o := paho.NewClientOptions()
	o.AddBroker("mqtts://" + t.host)
	o.SetClientID(string(t.device))
	o.SetProtocolVersion(4) // 3.1.1, and no second attempt with 3.1
	o.SetCleanSession(false)
	o.SetOrderMatters(false)
	o.SetStore(noStore{})
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	o.SetKeepAlive(t.opts.KeepAlive)
	o.SetPingTimeout(uplink.Silence)
	o.SetConnectTimeout(t.opts.Stall)
	o.SetWriteTimeout(0) // a slow link is no error
	o.SetBinaryWill(wire.TopicStatus(t.device), wire.LastWill(t.device), atLeastOnce, true)
	// Set before connecting: a session that the broker has kept brings messages at once.
	o.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { l.dispatch(m.Topic(), m.Payload()) })
	o.SetConnectionLostHandler(func(paho.Client, error) { close(l.lost) })
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
		c, err := t.network.DialThrough(ctx, t.proxy, t.host)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(c, t.tls)
		if err := conn.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		if t.weak {
			return conn, nil
		}
		return newEarly(conn, l.refuse), nil
	})
	return o
}

// wait waits for a token of CONNECT or SUBSCRIBE, which can be believed.
func wait(ctx context.Context, token paho.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish hands a message to the link. payload must not be changed afterwards.
func (l *link) publish(ctx context.Context, topic string, payload []byte) error {
	token, err := l.hand(ctx, topic, false, payload)
	if err != nil {
		return err
	}
	select {
	case <-token.Done():
		return l.why(token.Error())
	default:
		return nil
	}
}

func (l *link) hand(ctx context.Context, topic string, retained bool, payload []byte) (paho.Token, error) {
	handed := make(chan paho.Token, 1)
	go func() { handed <- l.client.Publish(topic, atLeastOnce, retained, payload) }() // can wait 30 s for a dying link
	select {
	case token := <-handed:
		return token, nil
	case <-l.lost:
		return nil, l.why(errLost)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// acknowledged waits for the broker's acknowledgement, which says no more than that the broker was there.
func (l *link) acknowledged(ctx context.Context, token paho.Token) error {
	select {
	case <-token.Done():
		return l.why(token.Error())
	case <-l.lost:
		return l.why(errLost)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refuse notes why the link is about to end. The first reason is the one that counts.
func (l *link) refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == nil {
		l.refused = err
	}
}

// why gives the broker's reason in the place of an error of the link, where there is one.
func (l *link) why(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && l.refused != nil {
		return l.refused
	}
	return err
}

// begin notes that the receiver has answered the init of an attempt: over this link it need not be sent again.
func (l *link) begin(attempt string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun[attempt] = struct{}{}
}

func (l *link) hasBegun(attempt string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.begun[attempt]
	return ok
}

// listen opens an inbox for the messages that wanted says yes to.
func (l *link) listen(wanted func(message any) bool) *inbox {
	in := &inbox{link: l, wanted: wanted, messages: make(chan any, inboxSize)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inboxes[in] = struct{}{}
	return in
}

func (in *inbox) close() {
	in.link.mu.Lock()
	defer in.link.mu.Unlock()
	delete(in.link.inboxes, in)
}

// dispatch puts a message that came into the inboxes that want it. What nobody wants, among it what the broker kept of
// an earlier connection, is dropped: have and the retries make good for it.
func (l *link) dispatch(topic string, payload []byte) {
	m, err := decode(topic, payload)
	if err != nil {
		return // not a message of this protocol
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for in := range l.inboxes {
		if !in.wanted(m) {
			continue
		}
		select {
		case in.messages <- m:
		default: // more answers than questions; should one be missed, the transfer stalls and starts again
		}
	}
}

// decode reads a message by its topic. The broker gives a client no topics but those it subscribed to.
func decode(topic string, payload []byte) (any, error) {
	switch {
	case strings.HasPrefix(topic, "$file-response/"):
		return decodeAs[wire.FileResponse](payload)
	case strings.HasSuffix(topic, "/receipt"):
		return decodeAs[wire.ReceiptAnswer](payload)
	case strings.HasSuffix(topic, "/had"):
		return decodeAs[wire.HaveAnswer](payload)
	case strings.Contains(topic, "/command/"):
		return decodeAs[wire.CommandList](payload)
	}
	return nil, fmt.Errorf("topic %q is not for a recorder", topic)
}

func decodeAs[T any](payload []byte) (any, error) {
	var m T
	err := wire.Decode(payload, &m)
	return m, err
}

// peek reads the payload of a compact JWS without checking it: only to know what a message is about.
func peek[T any](jws string) (v T, err error) {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return v, errors.New("not a compact JWS")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return v, err
	}
	err = json.Unmarshal(payload, &v)
	return v, err
}

func firstEntry(b wire.EntryBatch) (call.Entry, bool) {
	if len(b.Entries) == 0 {
		return call.Entry{}, false
	}
	e, err := peek[call.Entry](b.Entries[0])
	return e, err == nil
}

// noStore keeps nothing: what has to be sent again is the ring's to know.
type noStore struct{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}
