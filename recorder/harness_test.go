package recorder_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/recorder"
	"github.com/linekeeper/linekeeper/seal"
)

const rate = 8000

var (
	mono   = pcm.Format{Rate: rate, Channels: 1}
	signer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	public = signer.Public().(ed25519.PublicKey)
	device = call.DeviceIDOf(public)
	epoch  = call.Epoch(5)

	callKey = sync.OnceValue(func() seal.Key {
		key, _, err := seal.NewKey()
		if err != nil {
			panic(err)
		}
		return key
	})
)

// signal is the sample that stands on the line at a position: never 0, which is what a gap holds.
func signal(position int64, channel int) int16 {
	x := uint64(position)*2654435761 + uint64(channel)*40503 + 12345
	x ^= x >> 15
	return int16(x%32000 + 1)
}

// ring keeps records in memory, in order, and fails when it is told to.
type ring struct {
	records []call.Record
	fail    func(call.Record) error
}

var errFull = errors.New("ring is full")

func (r *ring) Append(rec call.Record) error {
	if r.fail != nil {
		if err := r.fail(rec); err != nil {
			return err
		}
	}
	r.records = append(r.records, rec)
	return nil
}

// files joins the records of each call, in the order of their headers.
func files(records []call.Record) (ids []call.ID, file map[call.ID][]byte) {
	file = map[call.ID][]byte{}
	for _, rec := range records {
		if !rec.Kind.InFile() {
			continue
		}
		if rec.Kind == call.KindHeader {
			ids = append(ids, rec.Call)
		}
		file[rec.Call] = append(file[rec.Call], rec.Data...)
	}
	return ids, file
}

// passThrough encodes to the bytes of the samples themselves, a chunk each size frames, as soon as one is full.
type passThrough struct {
	channels, size int
	waiting        []int16
	closed         bool
	chunk          []byte
}

func (e *passThrough) Write(samples []int16, emit func(recorder.Chunk) error) error {
	for _, s := range samples {
		e.waiting = append(e.waiting, s)
		if len(e.waiting) == e.size*e.channels {
			if err := e.flush(emit); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *passThrough) Close(emit func(recorder.Chunk) error) error {
	if e.closed {
		return errors.New("closed twice")
	}
	e.closed = true
	if len(e.waiting) == 0 {
		return nil
	}
	return e.flush(emit)
}

func (e *passThrough) flush(emit func(recorder.Chunk) error) error {
	e.chunk = pcm.AppendBytes(e.chunk[:0], e.waiting)
	frames := len(e.waiting) / e.channels
	e.waiting = e.waiting[:0]
	return emit(recorder.Chunk{Data: e.chunk, Frames: int64(frames)})
}

// told is an event and the position that the line must have reached for it to be known.
type told struct {
	known int64
	event call.Event
}

// script is a detector that knows everything beforehand.
type script struct {
	told []told
	out  []call.Event
}

func (s *script) Feed(p pcm.Period) []call.Event {
	s.out = s.out[:0]
	for len(s.told) > 0 && s.told[0].known <= p.Position+int64(p.Frames()) {
		s.out = append(s.out, s.told[0].event)
		s.told = s.told[1:]
	}
	return s.out
}

func began(at, known int64) told {
	return told{known, call.Event{Kind: call.EventBegan, Position: at, Reason: call.BeganVoice}}
}

func ended(at, known int64) told {
	return told{known, call.Event{Kind: call.EventEnded, Position: at, Reason: call.EndedSilence}}
}

func marked(at, known int64, value string) told {
	return told{known, call.Event{Kind: call.EventMark, Position: at, Mark: call.Mark{Kind: call.MarkDigits, Value: value}}}
}

// clock gives the time of the rig's line: its position, as a duration since boot.
type clock struct{ now time.Duration }

var boot = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

func (c *clock) Anchor() call.Anchor {
	return call.Anchor{BootID: "boot", BootTime: c.now, Wall: boot.Add(c.now), Grade: call.GradeNTP}
}

// watcher notes what the observer is told.
type watcher struct {
	began, ended []call.ID
	alarms       []string
	gaps         map[bool][]call.Gap // in a call or not
}

func (w *watcher) CallBegan(h call.Header, _ call.Reason)   { w.began = append(w.began, h.Call) }
func (w *watcher) CallEnded(h call.Header, _ call.Manifest) { w.ended = append(w.ended, h.Call) }
func (w *watcher) Gap(_ string, inCall bool, g call.Gap)    { w.gaps[inCall] = append(w.gaps[inCall], g) }
func (w *watcher) Alarm(_, what string)                     { w.alarms = append(w.alarms, what) }

// rig is a recorder with one line, and what it is fed.
type rig struct {
	t        testing.TB
	format   pcm.Format
	ring     *ring
	clock    *clock
	watch    *watcher
	detector *script
	encoders []*passThrough
	recorder *recorder.Recorder
	line     *recorder.Line
	position int64
	lost     []call.Gap // by position on the line
	samples  []int16
}

func sealed(h call.Header) (recorder.File, []call.Record, error) {
	return seal.NewWriter(h, seal.Recipients{callKey().Recipient()})
}

func resumed(r io.Reader) (recorder.Ending, call.End, bool, error) { return seal.ResumeWriter(r) }

func newRecorder(r *ring, c *clock, w *watcher, s ledger.State) *recorder.Recorder {
	return recorder.New(recorder.Config{
		Device: device, Epoch: epoch, Software: "test", Ledger: ledger.New(s, signer), Ring: r, Seal: sealed, Clock: c,
		Observer: w, Log: slog.New(slog.DiscardHandler),
	})
}

func newRig(t testing.TB, f pcm.Format, change func(*recorder.LineConfig), told ...told) *rig {
	t.Helper()
	r := &rig{
		t: t, format: f, ring: &ring{}, clock: &clock{}, watch: &watcher{gaps: map[bool][]call.Gap{}},
		detector: &script{told: told},
	}
	r.recorder = newRecorder(r.ring, r.clock, r.watch, ledger.State{Device: device, Epoch: epoch})
	cfg := recorder.LineConfig{
		Name: "1", Format: f, Codec: call.FLAC, Detector: r.detector, History: 5 * time.Second,
		NewEncoder: func(call.ID) (recorder.Encoder, error) {
			e := &passThrough{channels: f.Channels, size: 1000}
			r.encoders = append(r.encoders, e)
			return e, nil
		},
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if r.line, err = r.recorder.Line(cfg); err != nil {
		t.Fatal(err)
	}
	return r
}

// hear feeds a period of the signal after lost frames.
func (r *rig) hear(lost int64, cause string, frames int) {
	if lost > 0 {
		r.lost = append(r.lost, call.Gap{Position: r.position, Frames: lost, Cause: cause})
		r.position += lost
	}
	p := pcm.Period{Format: r.format, Position: r.position, LostFrames: lost, Cause: cause}
	r.samples = r.samples[:0]
	for range frames {
		for c := range r.format.Channels {
			r.samples = append(r.samples, signal(r.position, c))
		}
		r.position++
	}
	p.Samples = r.samples
	r.clock.now = r.format.Duration(r.position)
	p.At = r.clock.now
	r.line.Heard(p)
	for i := range r.samples {
		r.samples[i] = -1 // whoever kept them has nonsense now
	}
}

// hearUntil feeds periods of a size up to a position.
func (r *rig) hearUntil(position int64, period int) {
	for r.position < position {
		r.hear(0, "", int(min(int64(period), position-r.position)))
	}
}

func (r *rig) stop() {
	r.t.Helper()
	if err := r.recorder.Stop(); err != nil {
		r.t.Error(err)
	}
	for i, e := range r.encoders {
		if !e.closed {
			r.t.Errorf("encoder %d of %d was not closed", i, len(r.encoders))
		}
	}
}

// heardCall is a call as it was stored.
type heardCall struct {
	seal.Contents
	manifest   call.Manifest
	start, end int64 // positions of the line
	samples    []int16
}

// calls reads all calls out of the ring and holds them to what was fed.
func (r *rig) calls() []heardCall {
	r.t.Helper()
	calls := r.pausedCalls()
	for _, c := range calls {
		r.checkAudio(c)
	}
	return calls
}

// pausedCalls are calls whose audio may differ from what was fed.
func (r *rig) pausedCalls() []heardCall {
	r.t.Helper()
	entries := r.entries()
	ids, file := files(r.ring.records)
	var calls []heardCall
	for _, id := range ids {
		c := heardCall{}
		var err error
		if c.Contents, err = seal.Verify(bytes.NewReader(file[id]), seal.Keys{callKey()}); err != nil {
			r.t.Fatal(err)
		}
		for _, e := range entries {
			if e.Call != nil && *e.Call == id && e.Type == call.EntryEnd {
				c.manifest = *e.Manifest
			}
		}
		m := c.manifest
		if m.SHA256 != c.SHA256 || m.Chain != c.Chain || m.Size != c.Size || m.Frames != c.End.Frames || m.Ended != c.End.Reason ||
			m.Recovered != c.End.Recovered || m.Began != c.Header.Began || !slices.Equal(m.Gaps, c.End.Gaps) || m.Software != "test" {
			r.t.Errorf("manifest %+v of %+v", m, c.Contents)
		}
		c.start = int64(c.Header.Anchor.BootTime) * rate / int64(time.Second)
		c.end = c.start + c.End.Frames
		if want := boot.Add(c.Header.Anchor.BootTime); !c.Header.Anchor.Wall.Equal(want) {
			r.t.Errorf("call began at %s, want %s", c.Header.Anchor.Wall, want)
		}
		_, media, _ := seal.OpenMedia(bytes.NewReader(file[id]), seal.Keys{callKey()})
		b, err := io.ReadAll(media)
		if err != nil {
			r.t.Fatal(err)
		}
		for ; len(b) >= 2; b = b[2:] {
			c.samples = append(c.samples, int16(binary.LittleEndian.Uint16(b)))
		}
		calls = append(calls, c)
	}
	return calls
}

// checkAudio holds a call's media to the line's, frame by frame, and its gaps to its gap marks.
func (r *rig) checkAudio(c heardCall) {
	r.t.Helper()
	if got := int64(len(c.samples) / r.format.Channels); got != c.End.Frames {
		r.t.Fatalf("%d frames of media, end says %d", got, c.End.Frames)
	}
	gap, lost := causes(c.End.Gaps, 0, c.End.Frames), causes(r.lost, c.start, c.end)
	for i := range c.End.Frames {
		for ch := range r.format.Channels {
			want := signal(c.start+i, ch)
			if gap[i] != "" {
				want = 0
			}
			if got := c.samples[int(i)*r.format.Channels+ch]; got != want {
				r.t.Fatalf("call from %d: frame %d, channel %d is %d, want %d", c.start, i, ch, got, want)
			}
		}
		if lost[i] != gap[i] {
			r.t.Fatalf("call from %d: frame %d was lost by %q, its gap says %q", c.start, i, lost[i], gap[i])
		}
	}
	var marks []call.Gap
	for _, m := range c.Marks {
		left := c.End.Frames - m.Position
		if m.Kind == call.MarkGap && (left > 0 || !c.End.Recovered) { // a gap's silence may not have been stored
			marks = append(marks, call.Gap{Position: m.Position, Frames: min(m.Frames, left), Cause: m.Value})
		}
	}
	if !slices.Equal(marks, c.End.Gaps) {
		r.t.Errorf("marks of gaps %v, end has %v", marks, c.End.Gaps)
	}
}

// causes says of each frame of a span why it was lost; empty where it was not.
func causes(gaps []call.Gap, from, to int64) []string {
	all := make([]string, to-from)
	for _, g := range gaps {
		for i := max(g.Position, from); i < min(g.Position+g.Frames, to); i++ {
			all[i-from] = g.Cause
		}
	}
	return all
}

// entries reads the ledger out of the ring and checks its chain, and that each record stands where it may.
func (r *rig) entries() []call.SignedEntry {
	r.t.Helper()
	var jws [][]byte
	stage := map[call.ID]call.Kind{}
	for _, rec := range r.ring.records {
		id := rec.Call
		if rec.Kind != call.KindEntry {
			if rec.Kind == call.KindHeader && stage[id] != call.KindEntry || rec.Kind != call.KindHeader && stage[id] != call.KindHeader {
				r.t.Errorf("a record of kind %d of a call follows one of kind %d", rec.Kind, stage[id])
			}
			if rec.Kind == call.KindHeader || rec.Kind == call.KindEnd {
				stage[id] = rec.Kind
			}
			continue
		}
		jws = append(jws, rec.Data)
		e, err := ledger.Parse(rec.Data)
		if err != nil {
			r.t.Fatal(err)
		}
		switch {
		case e.Number != uint64(rec.Number) || !id.IsZero():
			r.t.Errorf("entry %d is in a record of number %d, call %s", e.Number, rec.Number, id)
		case e.Type == call.EntryBegin:
			stage[*e.Call] = call.KindEntry
		case e.Type == call.EntryEnd && stage[*e.Call] != call.KindEnd:
			r.t.Errorf("the end entry follows a record of kind %d", stage[*e.Call])
		}
	}
	entries, err := ledger.Check(&ledger.Link{Device: device, Epoch: epoch}, public, jws...)
	if err != nil {
		r.t.Fatal(err)
	}
	return entries
}

// losses are the gaps outside calls that the ledger tells of.
func (r *rig) losses() (gaps []call.Gap) {
	for _, e := range r.entries() {
		if e.Type == call.EntryGap {
			gaps = append(gaps, *e.Gap)
		}
	}
	return gaps
}
