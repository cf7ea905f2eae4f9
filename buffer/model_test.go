package buffer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// model knows what a ring was given and what it has acknowledged, whatever happened to its card.
type model struct {
	t      *testing.T
	card   *card
	opts   Options
	ring   *Ring
	rng    *rand.Rand
	calls  []*modelCall
	last   uint64            // entry appended last
	jws    map[uint64][]byte // of each
	copied int               // segments that calls were carried out of
	// of entries: synced up to, receipted up to (perhaps), receipted up to (synced)
	synced, accepting, accepted uint64
	opened                      bool

	value  string          // that is kept, as appended
	values map[string]bool // what the card may say of that
}

type modelCall struct {
	id        call.ID
	records   [][]byte
	ended     bool
	synced    int  // records
	accepting bool // a receipt was taken, or the call is given up; not known whether it is synced
	accepted  bool // it is
	lost      bool // with what was not synced
	cut       bool // only its end may follow

	hold   string          // why it is on hold, as appended
	holds  map[string]bool // what the card may say of that: as synced, and all that was appended since
	kept   bool            // a receipt was taken while it was on hold
	keptOn bool            // that is synced
}

func (c *modelCall) file(records int) []byte { return bytes.Join(c.records[:records], nil) }

func newModel(t *testing.T, seed uint64, policy Policy) *model {
	m := &model{t: t, card: newCard(seed), rng: rand.New(rand.NewPCG(seed, 2)), jws: map[uint64][]byte{}, values: map[string]bool{"": true}}
	m.opts = Options{
		Dir: "/card/ring", SizeBytes: 8 * minSegment, SegmentBytes: minSegment, WhenFull: policy,
		Header: decode[call.Header], Entry: decode[call.Entry],
	}
	m.opts.GiveUp = func(s call.Stored) error {
		c := m.find(s.Header.Call)
		if c == nil || !c.ended || c.hold != "" {
			m.t.Fatalf("a call in progress, on hold or unknown is given up: %v", s.Header.Call)
		}
		c.accepting = true
		m.entry(call.Entry{Type: call.EntryTombstone, Call: &c.id})
		return nil
	}
	return m
}

func (m *model) find(id call.ID) *modelCall {
	for _, c := range m.calls {
		if c.id == id {
			return c
		}
	}
	return nil
}

// open opens the ring, twice where the first time fails because of an injected fault, and says whether it could.
func (m *model) open() bool {
	m.opts.FS = m.card
	for range 2 {
		r, rec, err := Open(m.opts)
		if m.card.off {
			return false
		}
		if err == nil {
			m.ring, m.opened = r, true
			m.check(rec)
			m.resume(rec)
			return true
		}
		if !errors.Is(err, errPower) && !errors.Is(err, errIO) {
			m.t.Fatalf("open: %v", err)
		}
	}
	return false
}

// check holds the ring after an opening against the model.
func (m *model) check(rec Recovered) {
	if len(rec.Damaged) > 0 || len(rec.LostEntries) > 0 {
		m.t.Fatalf("a cut is taken for damage: %+v, entries %v", rec.Damaged, rec.LostEntries)
	}
	checkCounts(m.t, m.ring)
	stored, err := m.ring.Calls()
	noError(m.t, err)
	found := make(map[call.ID]call.Stored)
	for _, s := range stored {
		found[s.Header.Call] = s
	}
	interrupted := make(map[call.ID]bool)
	for _, s := range rec.Interrupted {
		interrupted[s.Header.Call] = true
	}
	for i, c := range m.calls {
		s, live := found[c.id]
		delete(found, c.id)
		switch {
		case c.accepted && live:
			m.t.Fatalf("call %d was released and is back", i)
		case live && (!c.holds[s.Hold] || c.keptOn && !s.Receipt || s.Receipt && !c.kept):
			m.t.Fatalf("call %d is on hold %q, receipted %v; it may be %v, %v", i, s.Hold, s.Receipt, c.holds, c.kept)
		case !live && c.synced > 0 && !c.accepting:
			m.t.Fatalf("call %d with %d records synced is lost", i, c.synced)
		case live:
			m.checkCall(i, c, s, interrupted[c.id])
		default: // what was not synced may be lost, and its call with it
			c.lost = true
		}
	}
	if len(found) > 0 {
		m.t.Fatalf("calls that nobody made: %v", found)
	}
	m.checkEntries()
	if m.value = string(m.ring.Kept("volume")); !m.values[m.value] {
		m.t.Fatalf("kept is %q, it may be %v", m.value, m.values)
	}
	m.values = map[string]bool{m.value: true}
}

func (m *model) checkCall(i int, c *modelCall, s call.Stored, interrupted bool) {
	f, err := m.ring.OpenCall(c.id)
	noError(m.t, err)
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		m.t.Fatalf("call %d: %v", i, err)
	}
	noError(m.t, f.Close())
	n := len(c.records)
	for n > 0 && !bytes.Equal(c.file(n), got) {
		n--
	}
	if n < c.synced || n == 0 || int64(len(got)) != s.Size {
		m.t.Fatalf("call %d: %d bytes that are %d whole records, synced were %d, said are %d bytes", i, len(got), n, c.synced, s.Size)
	}
	whole := c.ended && n == len(c.records)
	if s.Ended != whole || interrupted == whole {
		m.t.Fatalf("call %d: ended %v, interrupted %v, with %d of %d records", i, s.Ended, interrupted, n, len(c.records))
	}
	c.records, c.ended, c.synced, c.cut = c.records[:n], whole, n, !whole
	if c.accepting && !c.accepted {
		c.accepting = false // it waits for its receipt again
	}
	c.hold, c.kept, c.keptOn = s.Hold, s.Receipt, s.Receipt
	c.holds = map[string]bool{s.Hold: true}
}

func (m *model) checkEntries() {
	s := m.ring.State()
	if s.Last < m.synced || s.Last > m.last || !bytes.Equal(s.JWS, m.jws[s.Last]) {
		m.t.Fatalf("the ledger stands at %d, synced were %d, appended %d", s.Last, m.synced, m.last)
	}
	entries, err := m.ring.Entries(1 << 20)
	noError(m.t, err)
	first := s.Last + 1
	if len(entries) > 0 {
		first = entries[0].Number
	}
	if first <= m.accepted || first > m.accepting+1 {
		m.t.Fatalf("entries wait from %d, receipted were %d, perhaps %d", first, m.accepted, m.accepting)
	}
	for i, e := range entries {
		if e.Number != first+uint64(i) || !bytes.Equal(e.JWS, m.jws[e.Number]) {
			m.t.Fatalf("entry %d where %d should be", e.Number, first+uint64(i))
		}
	}
	if len(entries) > 0 && entries[len(entries)-1].Number != s.Last {
		m.t.Fatalf("entries wait up to %d, the last is %d", entries[len(entries)-1].Number, s.Last)
	}
	m.last, m.synced, m.accepting, m.accepted = s.Last, s.Last, first-1, first-1
}

// resume does what the recorder does after a start.
func (m *model) resume(rec Recovered) {
	for _, s := range rec.Interrupted {
		m.end(m.find(s.Header.Call))
	}
	for _, s := range rec.Unsigned {
		m.entry(call.Entry{Type: call.EntryEnd, Call: &s.Header.Call})
	}
}

func (m *model) entry(e call.Entry) bool {
	e.Epoch, e.Number = m.ring.disk.epoch, m.last+1
	b := encode(m.t, e)
	if !m.taken(m.ring.Append(call.Record{Kind: call.KindEntry, Data: b})) {
		return false
	}
	m.last++
	m.jws[m.last] = b
	return true
}

// taken says whether an append worked; it may fail for want of room only.
func (m *model) taken(err error) bool {
	if err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, ErrOverflow) {
		m.t.Fatal(err)
	}
	return err == nil
}

func (m *model) record(c *modelCall, kind call.Kind, data []byte) bool {
	if !m.taken(m.ring.Append(call.Record{Call: c.id, Kind: kind, Number: uint32(len(c.records)), Data: data})) {
		return false
	}
	c.records = append(c.records, data)
	return true
}

func (m *model) begin() {
	c := &modelCall{id: call.NewID(), holds: map[string]bool{"": true}}
	if m.entry(call.Entry{Type: call.EntryBegin, Call: &c.id}) &&
		m.record(c, call.KindHeader, encode(m.t, call.Header{Call: c.id})) {
		m.calls = append(m.calls, c)
	}
}

func (m *model) end(c *modelCall) {
	if m.record(c, call.KindEnd, []byte(`{"reason":"silence"}`)) {
		c.ended = true
		m.entry(call.Entry{Type: call.EntryEnd, Call: &c.id, Manifest: &call.Manifest{Size: int64(len(c.file(len(c.records))))}})
	}
}

// sync notes what is acknowledged by a sync that worked.
func (m *model) sync() error {
	err := m.ring.Sync()
	if err != nil {
		return err
	}
	for _, c := range m.calls {
		if !c.lost {
			c.synced = len(c.records)
			c.accepted = c.accepting
			c.keptOn, c.holds = c.kept, map[string]bool{c.hold: true}
		}
		if s := m.ring.table.calls[c.id]; s != nil {
			m.copied = max(m.copied, len(s.left()))
		}
	}
	m.synced, m.accepted = m.last, m.accepting
	m.values = map[string]bool{m.value: true}
	return nil
}

// step does one thing that recorders and uplinks do.
func (m *model) step() error {
	var talking, waiting []*modelCall
	held := 0
	for _, c := range m.calls {
		switch {
		case c.lost || c.accepting:
		case c.cut && !c.ended:
			m.end(c)
		case !c.ended:
			talking = append(talking, c)
		case c.synced == len(c.records):
			waiting = append(waiting, c)
		}
		if c.hold != "" && !c.lost && !c.accepting {
			held++
		}
	}
	for _, c := range talking {
		m.record(c, call.KindChunk, noise(200+m.rng.IntN(1500)))
	}
	switch n := m.rng.IntN(12); {
	case n < 3 && len(talking) < 3:
		m.begin()
	case n < 5 && len(talking) > 0:
		m.end(talking[m.rng.IntN(len(talking))])
	case n < 8 && len(waiting) > 4 || n == 8 && len(waiting) > 0:
		m.receive(waiting[m.rng.IntN(len(waiting))])
	case n == 9 && m.synced > m.accepting:
		last := m.accepting + 1 + m.rng.Uint64N(m.synced-m.accepting)
		r := call.Receipt{Epoch: m.ring.disk.epoch, First: m.accepting + 1, Last: last}
		if m.taken(m.ring.Accept(r, "jws")) {
			m.accepting = last
		}
	case n == 10 && len(waiting) > 0:
		m.holdOrNot(waiting[m.rng.IntN(len(waiting))], held)
	case n == 11 && len(waiting) > 0:
		if err := m.read(waiting[m.rng.IntN(len(waiting))]); err != nil {
			return err
		}
	}
	if value := fmt.Sprint(m.rng.Uint32()); m.rng.IntN(3) == 0 && m.taken(m.ring.Keep("volume", []byte(value))) {
		m.value, m.values[value] = value, true
	}
	if m.rng.IntN(3) == 0 {
		return m.sync()
	}
	return nil
}

// receive takes a call's receipt, or its refusal.
func (m *model) receive(c *modelCall) {
	if m.rng.IntN(5) == 0 {
		m.taken(m.ring.Park(c.id, "refused"))
		return
	}
	r := call.Receipt{Call: &c.id, Size: int64(len(c.file(len(c.records))))}
	if !m.taken(m.ring.Accept(r, "jws")) {
		return
	}
	if c.hold != "" {
		c.kept = true
	} else {
		c.accepting = true
	}
}

// holdOrNot puts a call on hold, of which there may be some, or ends its hold.
func (m *model) holdOrNot(c *modelCall, held int) {
	switch {
	case c.hold != "" && m.taken(m.ring.Unhold(c.id)):
		c.hold, c.accepting = "", c.kept
	case c.hold == "" && held < 3 && m.taken(m.ring.Hold(c.id, "court")):
		c.hold = "court"
	}
	c.holds[c.hold] = true
}

// read compares a call, which may have been carried meanwhile.
func (m *model) read(c *modelCall) error {
	f, err := m.ring.ReadCall(c.id)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { noError(m.t, f.Close()) }()
	got, err := io.ReadAll(f)
	switch {
	case m.card.off:
		return errPower
	case err != nil || !bytes.Equal(got, c.file(len(c.records))):
		m.t.Fatalf("a call reads as %d bytes, want %d: %v", len(got), len(c.file(len(c.records))), err)
	}
	return nil
}
