package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

// Limits of the embedded broker.
const (
	maxClients    = 10_000
	maxPacket     = maxMessage + 1<<10 // a message and its topic
	maxInflight   = 256                // answers that a recorder has not acknowledged
	maxPending    = 256                // answers that wait for a recorder's link
	handshakeTime = time.Minute        // TLS and CONNECT, over a link of 9.6 kbit/s
	sessionDays   = 7                  // how long the answers for a recorder that is away are kept
)

// ServeBroker is an MQTT broker for recorders on a listener, with mutual TLS, until ctx ends; it closes the listener. A
// recorder must connect under its device ID, which its certificate has as common name, and reaches no topics but its
// own.
func (in *Ingest) ServeBroker(ctx context.Context, l net.Listener, cfg *tls.Config) error {
	capabilities := mqtt.NewDefaultServerCapabilities()
	capabilities.MaximumClients = maxClients
	capabilities.MaximumPacketSize = maxPacket
	capabilities.MaximumInflight = maxInflight
	capabilities.ReceiveMaximum = maxInflight
	capabilities.MaximumClientWritesPending = maxPending
	capabilities.MaximumQos = 1
	capabilities.MaximumSessionExpiryInterval = sessionDays * 24 * 60 * 60
	capabilities.MaximumMessageExpiryInterval = sessionDays * 24 * 60 * 60
	server := mqtt.New(&mqtt.Options{
		Capabilities: capabilities,
		InlineClient: true,
		Logger:       slog.New(slog.DiscardHandler), // it would log whole messages
	})
	h := &hook{in: in, out: inline{server}, current: map[string]*mqtt.Client{}}
	if err := server.AddHook(h, nil); err != nil {
		return errors.Join(fmt.Errorf("set up broker: %w", err), l.Close())
	}
	if err := server.AddListener(&listener{inner: l, tls: cfg, log: in.cfg.Log, open: map[net.Conn]struct{}{}}); err != nil {
		return errors.Join(fmt.Errorf("set up broker: %w", err), l.Close())
	}
	if err := server.Serve(); err != nil {
		return errors.Join(fmt.Errorf("start broker: %w", err), server.Close())
	}
	leave := in.post.join(h.out)
	<-ctx.Done()
	leave()
	h.stop()
	return server.Close()
}

// inline publishes as the broker itself.
type inline struct{ server *mqtt.Server }

// Publish implements Publisher.
func (i inline) Publish(topic string, payload []byte) error {
	return i.server.Publish(topic, payload, false, 1)
}

// hook is where the broker asks who may do what, and hands over messages. It is called from the goroutine of each
// client, in the order of that client's messages, before they are acknowledged.
type hook struct {
	mqtt.HookBase
	in  *Ingest
	out Publisher

	mu      sync.Mutex
	current map[string]*mqtt.Client // by device: the connection that counts
	stopped bool
}

// ID implements mqtt.Hook.
func (h *hook) ID() string { return "linekeeper" }

// Provides implements mqtt.Hook.
func (h *hook) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublish, mqtt.OnWill, mqtt.OnWillSent, mqtt.OnDisconnect:
		return true
	}
	return false
}

// OnConnectAuthenticate lets a known recorder in under its own name. The broker does not check the topic of a last
// will, so that is done here too.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, pk packets.Packet) bool {
	conn, ok := cl.Net.Conn.(*tls.Conn)
	if !ok {
		return false
	}
	chains := conn.ConnectionState().VerifiedChains
	if len(chains) == 0 || chains[0][0].Subject.CommonName != cl.ID {
		h.in.cfg.Log.Warn("an MQTT client does not use its own device ID as client ID", "client", cl.ID, "address", cl.Net.Remote)
		return false
	}
	device, err := call.ParseDeviceID(cl.ID)
	if err != nil || pk.Connect.WillFlag && !mayWrite(device, pk.Connect.WillTopic) {
		return false
	}
	if err := h.in.admit(context.Background(), device, viaMQTT); err != nil {
		h.in.cfg.Log.Warn("an MQTT client is refused", "device", device, "error", err)
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.current[cl.ID] = cl
	return true
}

// OnDisconnect forgets the connection.
func (h *hook) OnDisconnect(cl *mqtt.Client, _ error, _ bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current[cl.ID] == cl {
		delete(h.current, cl.ID)
	}
}

// OnACLCheck keeps recorders to their own topics.
func (h *hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	device := call.DeviceID(cl.ID)
	if write {
		return mayWrite(device, topic)
	}
	return topic == "$file-response/"+cl.ID || strings.HasPrefix(topic, "linekeeper/"+cl.ID+"/")
}

func mayWrite(device call.DeviceID, topic string) bool {
	return strings.HasPrefix(topic, "linekeeper/"+string(device)+"/") || strings.HasPrefix(topic, "$file-async/"+string(device)+"-")
}

// OnPublish takes a message. Only what others may want to read, the status, goes on to subscribers. CodeSuccessIgnore
// is how a client is answered as if all were well: any other error says the same to one of MQTT 3.1.1, and less.
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	err := h.in.admit(context.Background(), call.DeviceID(cl.ID), viaMQTT)
	if errors.Is(err, hq.ErrRefused) {
		h.in.cfg.Log.Warn("an MQTT client is sent away", "device", cl.ID, "error", err)
		cl.Stop(err)
		return pk, packets.CodeSuccessIgnore
	}
	m := message{topic: pk.TopicName, payload: pk.Payload, packetID: pk.PacketID}
	if device, ok := m.device(); ok && err == nil {
		h.in.take(context.Background(), h.out, device, m)
	} else {
		h.in.receive(context.Background(), h.out, m) // which answers that headquarters is in trouble
	}
	if strings.HasSuffix(pk.TopicName, "/status") && !strings.HasPrefix(pk.TopicName, "$") {
		return pk, nil
	}
	return pk, packets.CodeSuccessIgnore
}

// counts says whether a last will is of the connection that counts, and not of one that its recorder has replaced.
func (h *hook) counts(cl *mqtt.Client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.current[cl.ID] == cl && !h.stopped
}

// OnWill keeps the last will of a connection that was replaced from taking the place of the new one's status.
func (h *hook) OnWill(cl *mqtt.Client, will mqtt.Will) (mqtt.Will, error) {
	if !h.counts(cl) {
		will.Retain = false
	}
	return will, nil
}

// OnWillSent takes a last will, which the broker does not pass through OnPublish.
func (h *hook) OnWillSent(cl *mqtt.Client, pk packets.Packet) {
	if h.counts(cl) {
		h.in.receive(context.Background(), h.out, message{topic: pk.TopicName, payload: pk.Payload})
	}
}

// stop makes the hook ignore last wills: it is headquarters that goes, and not the recorders.
func (h *hook) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
}

// listener gives the broker connections that have done their TLS handshake. Beyond the broker's own it bounds the time
// that a handshake may take, and when it is closed it waits for all of its connections to be done.
type listener struct {
	inner net.Listener
	tls   *tls.Config
	log   *slog.Logger

	wait   sync.WaitGroup
	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{}
}

// Init implements listeners.Listener.
func (l *listener) Init(*slog.Logger) error { return nil }

// ID implements listeners.Listener.
func (l *listener) ID() string { return "recorders" }

// Address implements listeners.Listener.
func (l *listener) Address() string { return l.inner.Addr().String() }

// Protocol implements listeners.Listener.
func (l *listener) Protocol() string { return "mqtts" }

// Serve implements listeners.Listener.
func (l *listener) Serve(establish listeners.EstablishFn) {
	for {
		conn, err := l.inner.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of file descriptors, most likely
			l.log.Error("cannot accept MQTT connections, trying again", "error", err)
			time.Sleep(time.Second)
			continue
		}
		if !l.enter(conn) {
			_ = conn.Close()
			return
		}
		go func() {
			defer l.leave(conn)
			if err := l.serve(conn, establish); err != nil {
				l.log.Debug("an MQTT connection ended", "address", conn.RemoteAddr().String(), "error", err)
			}
		}()
	}
}

func (l *listener) serve(conn net.Conn, establish listeners.EstablishFn) error {
	// Up to the CONNECT message; from there on the broker sets deadlines by the keep-alive.
	if err := conn.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	secure := tls.Server(conn, l.tls)
	if err := secure.Handshake(); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	return establish(l.ID(), secure)
}

func (l *listener) enter(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.open[conn] = struct{}{}
	l.wait.Add(1)
	return true
}

func (l *listener) leave(conn net.Conn) {
	_ = conn.Close() // mostly closed already
	l.mu.Lock()
	delete(l.open, conn)
	l.mu.Unlock()
	l.wait.Done()
}

// Close implements listeners.Listener. It cuts the connections itself: the broker's own way of closing them waits for
// ever when one more comes at the wrong moment (mochi 2.7.9 takes a read lock twice).
func (l *listener) Close(listeners.CloseFn) {
	_ = l.inner.Close()
	l.mu.Lock()
	l.closed = true
	for conn := range l.open {
		_ = conn.Close()
	}
	l.mu.Unlock()
	l.wait.Wait()
}
