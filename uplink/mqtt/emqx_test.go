package mqtt_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/mqtt"
	"github.com/linekeeper/linekeeper/wire"
)

// emqx is a broker with the contract of EMQX's file transfer as its documentation publishes it ("File Transfer Clients
// Development"), and what its source says of it. An EMQX itself is not to be had from a package of Debian or Go's module
// proxy. Transfers are of a client, which is answered by its ID; commands are never forwarded; any violation of the form
// fails the test.
type emqx struct {
	broker.HookBase
	t       *testing.T
	server  *broker.Server
	tls     *tls.Config
	address string

	mu       sync.Mutex
	files    map[string]*ftFile // by client and file ID
	exported map[string][]byte  // by name
	answers  int
	spoil    func(n int, command string) string // an answer in the place of its own; empty: none
	others   []string                           // topics that are none of the file transfer
}

type ftFile struct {
	meta     []byte
	segments map[int64][]byte
	done     bool
}

func newEMQX(t *testing.T) *emqx {
	t.Helper()
	e := &emqx{t: t, tls: serverTLS(), address: "127.0.0.1:0", files: map[string]*ftFile{}, exported: map[string][]byte{}}
	e.start()
	t.Cleanup(func() { _ = e.server.Close() })
	return e
}

func (e *emqx) start() {
	e.mu.Lock() // a handler of the server before this one may still be at work
	defer e.mu.Unlock()
	e.server = broker.New(&broker.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	tcp := listeners.NewTCP(listeners.Config{ID: "tls", Address: e.address, TLSConfig: e.tls})
	for _, err := range []error{e.server.AddHook(e, nil), e.server.AddListener(tcp), e.server.Serve()} {
		if err != nil {
			e.t.Fatal(err)
		}
	}
	e.address = tcp.Address()
}

func (e *emqx) answered() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.answers
}

// ID implements broker.Hook.
func (e *emqx) ID() string { return "emqx_ft" }

// Provides implements broker.Hook.
func (e *emqx) Provides(b byte) bool {
	return b == broker.OnConnectAuthenticate || b == broker.OnACLCheck || b == broker.OnPublish
}

func (e *emqx) OnConnectAuthenticate(*broker.Client, packets.Packet) bool { return true }

// OnACLCheck lets a client read its own answers, and nothing of headquarters'.
func (e *emqx) OnACLCheck(cl *broker.Client, topic string, write bool) bool {
	return write || topic == "$file-response/"+cl.ID
}

func (e *emqx) OnPublish(cl *broker.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	rest, ok := strings.CutPrefix(pk.TopicName, "$file-async/")
	e.mu.Lock()
	defer e.mu.Unlock()
	if !ok {
		e.others = append(e.others, pk.TopicName)
		return pk, nil
	}
	if pk.FixedHeader.Qos != 1 {
		e.t.Errorf("%s with QoS %d: commands have 1", pk.TopicName, pk.FixedHeader.Qos)
	}
	description := e.command(cl.ID, rest, pk.Payload)
	e.answers++
	if e.spoil != nil {
		if s := e.spoil(e.answers, rest); s != "" {
			description = s
		}
	}
	code := 0x80
	if description == "success" {
		code = 0
	}
	b, _ := json.Marshal(map[string]any{
		"vsn": "0.1", "topic": pk.TopicName, "packet_id": pk.PacketID, "reason_code": code, "reason_description": description,
	})
	if err := e.server.Publish("$file-response/"+cl.ID, b, false, 1); err != nil {
		e.t.Error(err)
	}
	return pk, packets.CodeSuccessIgnore
}

// command does {file_id}/init, {file_id}/{offset}[/{checksum}] and {file_id}/fin/{file_size}[/{checksum}].
func (e *emqx) command(client, topic string, payload []byte) string {
	parts := strings.Split(topic, "/")
	if len(parts) < 2 || parts[0] == "" {
		e.t.Errorf("command %q", topic)
		return "invalid_topic"
	}
	key := client + "/" + parts[0]
	f := e.files[key]
	if f == nil {
		f = &ftFile{segments: map[int64][]byte{}}
		e.files[key] = f
	}
	switch {
	case parts[1] == "init" && len(parts) == 2:
		return e.init(f, payload)
	case parts[1] == "fin" && (len(parts) == 3 || len(parts) == 4):
		return e.fin(f, parts[2:], payload)
	case len(parts) > 3:
		e.t.Errorf("command %q", topic)
		return "invalid_file_command"
	}
	offset, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || offset < 0 {
		e.t.Errorf("offset in %q", topic)
		return "invalid_offset"
	}
	if len(parts) == 3 && !isHash(parts[2], payload) {
		return "checksum_mismatch"
	}
	f.segments[offset] = bytes.Clone(payload)
	return "success"
}

var hash = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

func isHash(text string, of []byte) bool {
	sum := sha256.Sum256(of)
	return hash.MatchString(text) && strings.EqualFold(text, hex.EncodeToString(sum[:]))
}

// init keeps the metadata: a JSON object with these members, of which only name is required.
func (e *emqx) init(f *ftFile, payload []byte) string {
	var meta struct {
		Name        string          `json:"name"`
		Size        *int64          `json:"size"`
		Checksum    *string         `json:"checksum"`
		ExpireAt    *int64          `json:"expire_at"`
		SegmentsTTL *int64          `json:"segments_ttl"`
		UserData    json.RawMessage `json:"user_data"`
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&meta); err != nil || meta.Name == "" || len(meta.Name) > 240 || strings.ContainsAny(meta.Name, `/\%:`) {
		e.t.Errorf("init %q: %v", payload, err)
		return "invalid_filemeta"
	}
	if f.meta != nil && !bytes.Equal(f.meta, payload) {
		return "filemeta_conflict"
	}
	f.meta = bytes.Clone(payload)
	return "success"
}

// fin puts the file together. One that has been is answered with success again.
func (e *emqx) fin(f *ftFile, args []string, payload []byte) string {
	size, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil || len(payload) != 0 {
		e.t.Errorf("fin %v with %d bytes", args, len(payload))
		return "invalid_size"
	}
	if f.done {
		return "success"
	}
	var whole []byte
	for int64(len(whole)) < size {
		s := f.segments[int64(len(whole))]
		if len(s) == 0 {
			return "incomplete"
		}
		whole = append(whole, s...)
	}
	switch {
	case f.meta == nil || int64(len(whole)) != size:
		return "incomplete"
	case len(args) == 2 && !isHash(args[1], whole):
		return "checksum_mismatch"
	}
	var meta wire.FileMeta
	_ = json.Unmarshal(f.meta, &meta) // as init has read it
	e.exported[meta.Name] = whole
	f.done, f.segments = true, map[int64][]byte{}
	return "success"
}

// expire is segments_ttl: segments are gone.
func (e *emqx) expire() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.files {
		f.segments = map[int64][]byte{}
	}
}

func (e *emqx) connect() *mqtt.EMQX {
	e.t.Helper()
	tr, err := mqtt.NewEMQX("mqtts://"+e.address, trust(e.t, e.tls), device, mqtt.Options{})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = tr.Close() })
	if err := tr.Status(e.t.Context(), wire.Status{Device: device, Online: true}); err != nil {
		e.t.Fatal(err)
	}
	return tr
}

func (e *emqx) has(name string) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.exported[name]
}

// TestEMQX delivers a call and entries, keeps to the published form, and asks nothing that EMQX does not know.
func TestEMQX(t *testing.T) {
	e := newEMQX(t)
	tr := e.connect()
	if _, weak := any(tr).(uplink.Weak); !weak {
		t.Fatal("it does not say that it is weak")
	}
	if a, err := tr.Have(t.Context(), wire.HaveQuestion{}); err != nil || a.Receipts != nil {
		t.Errorf("have: %+v, %v", a, err)
	}
	c := newCall(50_000)
	word, err := tr.Deliver(t.Context(), c.file())
	if err != nil || !strings.HasPrefix(word, "emqx: success for file ABCDEFGH-"+c.id.String()) {
		t.Errorf("its word is %q, %v", word, err)
	}
	if !bytes.Equal(e.has(c.id.String()+".lkc"), c.bytes) {
		t.Error("EMQX has not exported the call's bytes")
	}
	b := wire.EntryBatch{Entries: []string{entry(41), entry(42)}}
	if word, err = tr.Entries(t.Context(), b); err != nil || !strings.HasPrefix(word, "emqx: success") {
		t.Errorf("entries: %q, %v", word, err)
	}
	if got := string(e.has("ABCDEFGH-000000000000E-41-42.jws")); got != strings.Join(b.Entries, "\n")+"\n" {
		t.Errorf("entries were exported as %q", got)
	}
	for _, topic := range e.others {
		if topic != wire.TopicStatus(device) {
			t.Errorf("a message on %s, which EMQX does not answer", topic)
		}
	}
}

func entry(n int) string {
	payload := fmt.Sprintf(`{"v":1,"type":"gap","device":"ABCDEFGH","epoch":"000000000000E","number":%d}`, n)
	return "eyJhbGciOiJFZERTQSJ9." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2lnbmVk"
}

// TestEMQXTrouble is what its documentation says can come: the answer lost after fin, segments that have expired, a
// checksum that does not match, a time-out; and the node restarted.
func TestEMQXTrouble(t *testing.T) {
	for name, trouble := range map[string]struct {
		at     func(command string) bool
		answer string
		before func(e *emqx)
		later  bool // other calls go first
	}{
		"segments expired":  {at: func(c string) bool { return strings.Contains(c, "/fin/") }, answer: "incomplete", before: (*emqx).expire},
		"metadata conflict": {at: func(c string) bool { return strings.HasSuffix(c, "/init") }, answer: "filemeta_conflict"},
		"checksum":          {at: func(c string) bool { return strings.Contains(c, "/fin/") }, answer: "checksum_mismatch"},
		"time-out":          {at: func(c string) bool { return strings.Contains(c, "/fin/") }, answer: "timeout", later: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEMQX(t)
			done := false
			e.spoil = func(_ int, command string) string {
				if done || !trouble.at(command) {
					return ""
				}
				done = true
				return trouble.answer
			}
			c := newCall(50_000)
			tr := e.connect()
			if trouble.before != nil {
				trouble.before(e)
			}
			_, err := tr.Deliver(t.Context(), c.file())
			if trouble.later {
				if err == nil {
					t.Fatal("a time-out was taken for success")
				}
				_, err = tr.Deliver(t.Context(), c.file())
			}
			if err != nil || !bytes.Equal(e.has(c.id.String()+".lkc"), c.bytes) {
				t.Errorf("delivered: %v", err)
			}
		})
	}
	t.Run("restart", func(t *testing.T) {
		e := newEMQX(t)
		c := newCall(200_000)
		stopped := make(chan struct{})
		e.spoil = func(n int, _ string) string {
			if n == 10 {
				server := e.server
				go func() { _ = server.Close(); close(stopped) }()
			}
			return ""
		}
		tr := e.connect()
		if _, err := tr.Deliver(t.Context(), c.file()); err == nil {
			t.Fatal("delivered to a node that was stopped")
		}
		_ = tr.Close()
		<-stopped
		e.start()
		before := e.answered()
		if _, err := e.connect().Deliver(t.Context(), c.file()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(e.has(c.id.String()+".lkc"), c.bytes) {
			t.Error("other bytes were exported")
		}
		if n := e.answered() - before; n > 22 { // 25 segments, init and fin, less those that were answered
			t.Errorf("%d commands after the restart: it did not go on where it was", n)
		}
	})
}
