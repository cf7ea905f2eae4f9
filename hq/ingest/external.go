package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// External is a broker of someone else, by which recorders reach headquarters. Headquarters is an ordinary subscriber
// there, to $file-async/#, linekeeper/+/+ and linekeeper/+/result/+, and needs the right to publish to $file-response/+,
// linekeeper/+/receipt, linekeeper/+/had and linekeeper/+/command/+. One headquarters at a time may use a client ID.
type External struct {
	URL                string // tls://host:8883, tcp://host:1883
	TLS                *tls.Config
	ClientID           string // empty: linekeeper-hq
	Username, Password string
}

// Times of the connection to an external broker.
const (
	brokerKeepAlive = 30 * time.Second
	brokerRetry     = 5 * time.Second
	brokerRetryMost = time.Minute
	brokerGoodbye   = 500 // milliseconds for what is under way
)

// maxQueued bounds the messages that have come and are not done. A broker bounds them as well, to fewer by default
// (Debian's: max_inflight_messages 20).
const maxQueued = 4096

// Attach receives from an external broker until ctx ends. While the broker is away it tries again and says so in the
// log; an error is returned for a configuration that can never work.
func (in *Ingest) Attach(ctx context.Context, b External) error {
	if u, err := url.Parse(b.URL); err != nil || u.Host == "" {
		return fmt.Errorf("MQTT broker %q: want an address like tls://broker.example:8883", b.URL)
	}
	if b.ClientID == "" {
		b.ClientID = "linekeeper-hq"
	}
	jobs := newDispatcher()
	receive := func(c mqtt.Client, m mqtt.Message) {
		// Acknowledged when it is done, so that after a crash the broker sends it again.
		jobs.do(m.Topic(), func() {
			in.receive(ctx, outside{c}, message{topic: m.Topic(), payload: m.Payload(), packetID: m.MessageID()})
			m.Ack()
		})
	}
	lost := make(chan error, 1)
	// paho's own ways of trying again go on sleeping after they are told to stop.
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(b.URL).SetTLSConfig(b.TLS).SetClientID(b.ClientID).
		SetUsername(b.Username).SetPassword(b.Password).SetCleanSession(false).SetKeepAlive(brokerKeepAlive).
		SetAutoReconnect(false).SetAutoAckDisabled(true).SetDefaultPublishHandler(receive).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err }))
	defer in.post.join(outside{client})()
	for wait := brokerRetry; ctx.Err() == nil; wait = min(2*wait, brokerRetryMost) {
		err := await(ctx, client.Connect())
		if err == nil {
			wait = brokerRetry
			in.subscribe(ctx, client, b.URL)
			select {
			case err = <-lost:
			case <-ctx.Done():
				continue
			}
		}
		if ctx.Err() != nil {
			break
		}
		in.cfg.Log.Warn("no connection to the MQTT broker, trying again", "broker", b.URL, "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	jobs.close()
	if client.IsConnectionOpen() {
		client.Disconnect(brokerGoodbye)
	}
	return nil
}

// await waits for what a token stands for.
func await(ctx context.Context, token mqtt.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subscribe is done at each connection: a broker may have lost the session. What comes in goes to the default handler,
// which also gets what the broker kept for the session and sends before it is asked.
func (in *Ingest) subscribe(ctx context.Context, c mqtt.Client, broker string) {
	token := c.SubscribeMultiple(map[string]byte{wire.FilterFiles: 1, wire.FilterDevices: 1, wire.FilterResults: 1}, nil)
	err := await(ctx, token)
	if sub, ok := token.(*mqtt.SubscribeToken); ok && err == nil {
		for filter, granted := range sub.Result() {
			if granted != 1 {
				err = errors.Join(err, fmt.Errorf("it grants QoS %d for %s (128: not allowed)", granted, filter))
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		in.cfg.Log.Error("the MQTT broker does not let headquarters subscribe: see its access rules", "broker", broker, "error", err)
		return
	}
	in.cfg.Log.Info("receiving from the MQTT broker", "broker", broker)
}

// outside publishes to an external broker.
type outside struct{ client mqtt.Client }

// Publish implements Publisher. It does not wait for the broker.
func (o outside) Publish(topic string, payload []byte) error {
	token := o.client.Publish(topic, 1, false, payload)
	select {
	case <-token.Done():
		return token.Error()
	default:
		return nil
	}
}

// dispatcher does the jobs of one recorder one after the other, and those of several beside each other: each waits for
// the disk.
type dispatcher struct {
	slots chan struct{} // one for each job that is not done

	mu     sync.Mutex
	queues map[call.DeviceID][]func() // of those that have a worker
	closed bool
	all    sync.WaitGroup
}

func newDispatcher() *dispatcher {
	return &dispatcher{slots: make(chan struct{}, maxQueued), queues: map[call.DeviceID][]func(){}}
}

// do queues a job for the recorder that the topic names; it waits while there are too many.
func (d *dispatcher) do(topic string, job func()) {
	device, _ := message{topic: topic}.device() // the rest share a queue
	d.slots <- struct{}{}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed { // not acknowledged: the broker keeps it for the next time
		<-d.slots
		return
	}
	queue, works := d.queues[device]
	d.queues[device] = append(queue, job)
	if !works {
		d.all.Go(func() { d.work(device) })
	}
}

func (d *dispatcher) work(device call.DeviceID) {
	for {
		d.mu.Lock()
		queue := d.queues[device]
		if len(queue) == 0 {
			delete(d.queues, device)
			d.mu.Unlock()
			return
		}
		job := queue[0]
		d.queues[device] = queue[1:]
		d.mu.Unlock()
		job()
		<-d.slots
	}
}

// close takes no more jobs and waits until those that are there are done.
func (d *dispatcher) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.all.Wait()
}
