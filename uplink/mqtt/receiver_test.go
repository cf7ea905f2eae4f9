package mqtt_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

const device = call.DeviceID("ABCDEFGH")

// receiver is a broker with the receiving end of EMQX's file transfer beside it, and headquarters' receipts. The broker
// can be restarted; what the receiver has stays.
type receiver struct {
	t       *testing.T
	key     ed25519.PrivateKey
	tls     *tls.Config // the broker's
	address string
	broker  *broker.Server

	mu       sync.Mutex
	files    map[string]*received // by file ID
	durable  map[string]string    // receipts by call
	copies   map[string][][]byte
	commands []wire.FileCommand // as they came
	messages map[string][]string
	heard    chan struct{} // one slot: a message on a topic of ours

	// judge may answer a command in the receiver's place: drop says that it never arrived, description (not empty) that
	// this is the answer. Nil: nobody judges. It is called under mu.
	judge func(n int, c wire.FileCommand) (drop bool, description string)
	// mute keeps back receipts; silent keeps back all answers.
	mute, silent bool
	// tells has an init that is sent again answered with what has arrived, as headquarters does, and EMQX does not.
	tells bool
}

type received struct {
	meta     []byte
	segments map[int64][]byte
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{
		t: t, key: key, address: "127.0.0.1:0", tls: serverTLS(),
		files: map[string]*received{}, durable: map[string]string{}, copies: map[string][][]byte{},
		messages: map[string][]string{}, heard: make(chan struct{}, 1),
	}
	r.start()
	t.Cleanup(r.stop)
	return r
}

// serverTLS has a certificate for 127.0.0.1.
func serverTLS() *tls.Config {
	https := httptest.NewTLSServer(nil)
	defer https.Close()
	return &tls.Config{Certificates: https.TLS.Certificates}
}

// anybody may connect and publish.
type anybody struct{ broker.HookBase }

func (*anybody) Provides(b byte) bool {
	return b == broker.OnConnectAuthenticate || b == broker.OnACLCheck
}

func (*anybody) OnConnectAuthenticate(*broker.Client, packets.Packet) bool { return true }

func (*anybody) OnACLCheck(*broker.Client, string, bool) bool { return true }

// start makes a broker, at the address of the one before.
func (r *receiver) start() {
	r.t.Helper()
	r.broker = broker.New(&broker.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	tcp := listeners.NewTCP(listeners.Config{ID: "tls", Address: r.address, TLSConfig: r.tls})
	for _, err := range []error{
		r.broker.AddHook(new(anybody), nil),
		r.broker.AddListener(tcp),
		r.broker.Subscribe(wire.FilterFiles, 1, r.onFile),
		r.broker.Subscribe(wire.FilterDevices, 2, r.onDevice),
		r.broker.Serve(),
	} {
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.address = tcp.Address()
}

func (r *receiver) stop() { _ = r.broker.Close() }

func (r *receiver) answer(topic string, message any) {
	b, err := json.Marshal(message)
	if err == nil {
		err = r.broker.Publish(topic, b, false, 1)
	}
	if err != nil {
		r.t.Errorf("answer on %s: %v", topic, err)
	}
}

func (r *receiver) onFile(_ *broker.Client, _ packets.Subscription, pk packets.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := wire.ParseFileTopic(pk.TopicName)
	if err != nil {
		r.t.Error(err)
		return
	}
	r.commands = append(r.commands, c)
	if r.silent {
		return
	}
	description := ""
	if r.judge != nil {
		var drop bool
		if drop, description = r.judge(len(r.commands), c); drop {
			return
		}
	}
	if description == "" {
		description = r.take(c, pk.Payload)
	}
	code := 0
	if description != wire.FileSuccess {
		code = 128
	}
	r.answer(wire.TopicFileResponse(c.File.Device), wire.FileResponse{
		Version: "0.1", Topic: pk.TopicName, PacketID: pk.PacketID, ReasonCode: code, Description: description, Have: r.have(c),
	})
	if receipt := r.durable[c.File.Call.String()]; c.Verb == wire.FileFinish && receipt != "" && !r.mute {
		r.answer(wire.TopicReceipt(c.File.Device), wire.ReceiptAnswer{Receipt: receipt})
	}
}

func (r *receiver) have(c wire.FileCommand) (all [][2]int64) {
	if f := r.files[c.File.String()]; r.tells && c.Verb == wire.FileInit && f != nil {
		for offset, b := range f.segments {
			all = append(all, [2]int64{offset, int64(len(b))})
		}
	}
	return all
}

// take does with a command what EMQX does.
func (r *receiver) take(c wire.FileCommand, payload []byte) string {
	f := r.files[c.File.String()]
	if f == nil {
		f = &received{segments: map[int64][]byte{}}
		r.files[c.File.String()] = f
	}
	switch c.Verb {
	case wire.FileInit:
		if f.meta != nil && !bytes.Equal(f.meta, payload) {
			return wire.FileMetaConflict
		}
		f.meta = bytes.Clone(payload)
	case wire.FileSegment:
		f.segments[c.Offset] = bytes.Clone(payload)
	case wire.FileFinish:
		return r.assemble(c, f)
	}
	return wire.FileSuccess
}

func (r *receiver) assemble(c wire.FileCommand, f *received) string {
	var whole []byte
	for int64(len(whole)) < c.Size {
		s := f.segments[int64(len(whole))]
		if len(s) == 0 {
			return wire.FileIncomplete
		}
		whole = append(whole, s...)
	}
	if f.meta == nil || int64(len(whole)) != c.Size {
		return wire.FileIncomplete
	}
	sum := sha256.Sum256(whole)
	if hex.EncodeToString(sum[:]) != c.SHA256 {
		return wire.FileChecksumMismatch
	}
	id := c.File.Call
	if r.durable[id.String()] == "" {
		receipt, err := wire.SignReceipt(r.key, call.Receipt{Device: c.File.Device, Call: &id, Size: c.Size, SHA256: c.SHA256})
		if err != nil {
			r.t.Error(err)
		}
		r.durable[id.String()] = receipt
		r.copies[id.String()] = append(r.copies[id.String()], whole)
	}
	delete(r.files, c.File.String())
	return wire.FileSuccess
}

func (r *receiver) onDevice(_ *broker.Client, _ packets.Subscription, pk packets.Packet) {
	from, what, err := wire.ParseDeviceTopic(pk.TopicName)
	if err != nil || what == "receipt" || what == "had" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages[what] = append(r.messages[what], string(pk.Payload))
	select {
	case r.heard <- struct{}{}:
	default:
	}
	if r.silent {
		return
	}
	switch what {
	case "have":
		var q wire.HaveQuestion
		if err := json.Unmarshal(pk.Payload, &q); err != nil {
			r.t.Error(err)
		}
		if len(q.Calls) > 3 {
			r.answer(wire.TopicReceipt(from), wire.ReceiptAnswer{Error: "too many"})
			return
		}
		a := wire.HaveAnswer{Entries: 7}
		for _, id := range q.Calls {
			if receipt := r.durable[id.String()]; receipt != "" {
				a.Receipts = append(a.Receipts, receipt)
			}
		}
		r.answer(wire.TopicHad(from), a)
	case "entries":
		r.answerEntries(from, pk.Payload)
	}
}

func (r *receiver) answerEntries(from call.DeviceID, payload []byte) {
	var batch wire.EntryBatch
	if err := wire.Decode(payload, &batch); err != nil || batch.Entries[0] == "bad" {
		r.answer(wire.TopicReceipt(from), wire.ReceiptAnswer{Error: "malformed"})
		return
	}
	if batch.Entries[0] == "full" {
		r.answer(wire.TopicReceipt(from), wire.ReceiptAnswer{Error: "another question", About: wire.AboutHave})
		r.answer(wire.TopicReceipt(from), wire.ReceiptAnswer{Error: "the disk is full", About: wire.AboutEntries, Later: 60})
		return
	}
	for _, first := range []uint64{1, 5} { // the first is a late answer to something else
		receipt, err := wire.SignReceipt(r.key, call.Receipt{Device: from, Epoch: 9, First: first, Last: first + 1})
		if err != nil {
			r.t.Error(err)
		}
		r.answer(wire.TopicReceipt(from), wire.ReceiptAnswer{Receipt: receipt})
	}
}

// status waits until the last status satisfies is.
func (r *receiver) status(is func(wire.Status) bool) {
	r.t.Helper()
	for {
		r.mu.Lock()
		said := r.messages["status"]
		r.mu.Unlock()
		var s wire.Status
		if len(said) > 0 && json.Unmarshal([]byte(said[len(said)-1]), &s) == nil && is(s) {
			return
		}
		select {
		case <-r.heard:
		case <-r.t.Context().Done():
			r.t.Fatal("no such status came")
		}
	}
}

// sent gives how many segments came, and how many of them twice.
func (r *receiver) sent() (segments, again, attempts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, files := map[string]bool{}, map[string]bool{}
	for _, c := range r.commands {
		files[c.File.String()] = true
		if c.Verb == wire.FileSegment {
			segments++
			if seen[c.Topic()] {
				again++
			}
			seen[c.Topic()] = true
		}
	}
	return segments, again, len(files)
}
