package buffer

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// finish settles what only the whole ring tells.
func (l *loader) finish() error {
	t := l.r.table
	l.recall()
	l.recallKept()
	claims, holes := l.claims(), make(map[call.ID][]call.Hole)
	for _, c := range t.order {
		if !c.gone {
			t.change(c, func() {
				l.settle(c)
				if found := append(c.fill(), c.damagedTail(claims[c.id])...); len(found) > 0 {
					holes[c.id] = found
				}
			})
		}
	}
	for _, sc := range l.scans {
		d := l.describe(sc)
		if sc.open != nil {
			sc.open.dir, sc.open.state = d, !d.hasState()
		} else {
			l.r.writer.writeDirectory(sc.seg, &d)
		}
	}
	if err := l.ledger(); err != nil {
		return err
	}
	for _, s := range l.r.space.closed {
		if s.headless != nil && !s.dead() { // else power was lost while it was to be used again
			l.damage(s.number, call.ID{}, "its first page: "+s.headless.Error())
		}
	}
	for _, c := range slices.Clone(t.order) {
		switch {
		case c.gone:
		case len(c.parts) == 0:
			t.release(c.id) // nothing but an end entry, or records that were not synced
		default:
			l.unfinished(c, holes[c.id])
		}
	}
	slices.SortStableFunc(t.order, func(a, b *stored) int { return cmp.Compare(a.age(), b.age()) })
	for id, e := range l.begun {
		if t.calls[id] == nil {
			l.rec.Announced = append(l.rec.Announced, e)
		}
	}
	t.entries = slices.Clone(t.entries) // without the room in which they grew
	slices.SortFunc(l.rec.Announced, func(a, b call.Entry) int { return cmp.Compare(a.Number, b.Number) })
	return nil
}

// recall takes over what notes say of calls.
func (l *loader) recall() {
	t := l.r.table
	for id, at := range l.notes {
		n := at.note
		if n == nil {
			read, err := l.r.disk.readNote(at.place)
			if err != nil {
				if t.calls[id] != nil {
					l.damage(at.seg.number, id, "what was noted of the call: "+err.Error())
				}
				continue
			}
			n = &read
		}
		c := t.call(id)
		t.change(c, func() {
			t.remember(c, *n, at.place)
			c.receipt = n.Kept != ""
		})
		t.setState(c, n.callState)
		if firm, loose := l.firm[id]; loose && len(n.Holes) > 0 {
			last := n.Holes[len(n.Holes)-1]
			l.firm[id] = max(firm, int64(last.Record+last.Records)-1)
		}
	}
}

// settle drops what was not synced of a call: what stands behind a missing record, and was not surely synced.
func (l *loader) settle(c *stored) {
	firm, loose := l.firm[c.id]
	if !loose {
		firm = math.MaxInt64
	}
	n := 0
	var next uint32
	var at int64
	for ; n < len(c.parts); n++ {
		p := c.parts[n]
		if p.first > next && int64(p.first) > firm || n > 0 && c.parts[n-1].ended {
			break
		}
		if p.first > next && p.at-at > int64(p.first-next)*MaxRecord {
			l.damage(0, c.id, fmt.Sprintf("record %d is not where it can be, the call is cut off before", p.first))
			break
		}
		next, at = p.next(), p.end()
	}
	for _, p := range c.parts[n:] {
		p.count1(-1)
		c.leave(p.seg)
		l.rec.Torn += int(p.count)
		l.dropped = true
	}
	c.parts = c.parts[:n]
	c.ended = n > 0 && c.parts[n-1].ended || c.state().Ended
}

// fill puts holes where records are missing.
func (c *stored) fill() (holes []call.Hole) {
	var next uint32
	var at int64
	for _, p := range c.parts {
		if p.first > next {
			holes = append(holes, pieces(call.Hole{Record: next, Records: p.first - next, Offset: at, Size: p.at - at})...)
		}
		next, at = p.next(), p.end()
	}
	for _, h := range holes {
		c.punch(h)
	}
	return holes
}

// claims are the heads of damaged records that were surely synced, by call, in the order in which they were written.
func (l *loader) claims() map[call.ID][]frame {
	of := make(map[call.ID][]frame)
	for _, sc := range l.scans {
		for _, f := range sc.claims {
			if f.group < sc.lastGroup && f.kind.InFile() && f.length <= maxData {
				of[f.call] = append(of[f.call], f)
			}
		}
	}
	return of
}

// damagedTail puts holes behind the last record of a call, where the heads of damaged records still say that they are its
// next.
func (c *stored) damagedTail(claims []frame) (holes []call.Hole) {
	for _, f := range claims {
		if c.ended || len(c.parts) == 0 || f.number != c.next() || int64(f.at) != c.size() {
			continue
		}
		h := call.Hole{Record: f.number, Records: 1, Offset: int64(f.at), Size: int64(f.length)}
		if c.punch(h) {
			holes = append(holes, h)
			c.ended = f.kind == call.KindEnd
		}
	}
	return holes
}

// unfinished says what the caller has to do for a call that is live.
func (l *loader) unfinished(c *stored, holes []call.Hole) {
	manifest := l.lostEnd(c, &holes)
	if len(holes) > 0 {
		l.noteHoles(c, holes)
	}
	if n := len(c.parts); c.ended && !manifest && c.parts[n-1].seg == nil {
		c.ended = false // its end is lost, and nobody has signed it: it gets another
	}
	switch {
	case c.unamended():
		l.rec.Holed = append(l.rec.Holed, Holed{Call: c.id, Holes: slices.Clone(c.Holes)})
		return
	case c.ended && manifest:
		return
	}
	says, err := l.r.disk.describe(c, func(call.ID, part, waiting) {})
	if err != nil {
		l.damage(0, c.id, err.Error())
	}
	c.reread = true
	if c.ended {
		l.rec.Unsigned = append(l.rec.Unsigned, c.stored(says))
		return
	}
	c.interrupted = true
	l.r.progress.calls[c.id] = cursor{c.next(), c.size()}
	l.rec.Interrupted = append(l.rec.Interrupted, c.stored(says))
}

// lostEnd puts a hole at the end of a call that has an end entry, and no end record. It says whether it has an entry.
func (l *loader) lostEnd(c *stored, holes *[]call.Hole) bool {
	if c.ended || c.manifest.seg == nil {
		return c.manifest.seg != nil
	}
	jws, err := l.r.disk.readData(c.manifest.place, call.KindEntry)
	var e call.Entry
	if err == nil {
		e, err = l.r.disk.entry(jws)
	}
	if err != nil || e.Manifest == nil || e.Manifest.Size < c.size() || e.Manifest.Size > maxFile {
		return false
	}
	c.ended = true
	if e.Manifest.Size == c.size() {
		return true
	}
	size := e.Manifest.Size - c.size()
	h := call.Hole{Record: c.next(), Records: 1 + uint32((size-1)/MaxRecord), Offset: c.size(), Size: size} // so many at least
	l.r.table.change(c, func() {
		for _, h := range pieces(h) {
			if c.punch(h) {
				*holes = append(*holes, h)
			}
		}
	})
	return true
}

// noteHoles notes new holes of a call and keeps the damaged bytes aside.
func (l *loader) noteHoles(c *stored, holes []call.Hole) {
	state := c.state().withHoles(holes)
	state.Ended = state.Ended || c.endsIn(holes)
	l.r.table.setState(c, state)
	// Holes without number cannot be noted: they are found again at the next start.
	if it := noteItem(note{Op: opCall, Call: &c.id, callState: state}); it.frameSize() <= l.r.disk.longest() {
		l.r.queue.put(it)
	}
	for _, h := range holes {
		l.damage(0, c.id, fmt.Sprintf("records %d to %d, %d bytes, are lost: the call has a hole there", h.Record, h.Record+h.Records-1, h.Size))
	}
	for _, sc := range l.scans {
		if !slices.ContainsFunc(sc.rows, func(row callRow) bool { return row.call == c.id }) {
			continue
		}
		err := l.keepAside(sc)
		if err != nil {
			l.r.log.Warn("damaged bytes cannot be kept aside", "segment", sc.seg.number, "error", err)
		}
		sc.gaps = nil // all of them are kept
	}
}

func (l *loader) keepAside(sc *scannedSegment) error {
	f, err := l.r.disk.fs.Open(l.r.disk.path(sc.seg.number))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	return l.r.disk.keepAside(f, sc.seg, call.ID{}, sc.gaps)
}

// ledger finds where the ledger stands.
func (l *loader) ledger() error {
	t := l.r.table
	t.last = l.number
	for _, at := range slices.Backward(l.states) {
		n, err := l.r.disk.readNote(at.place)
		if err != nil {
			l.damage(at.seg.number, call.ID{}, err.Error())
			continue
		}
		t.accept(n.Upto)
		if n.Last >= t.last {
			t.last, t.lastJWS = n.Last, n.JWS
		}
		break
	}
	if t.lastJWS == nil && t.last > 0 {
		jws, err := l.r.disk.readData(l.last, call.KindEntry)
		var corrupt *CorruptError
		if err != nil && !errors.As(err, &corrupt) {
			return err
		} else if err != nil {
			l.damage(corrupt.Segment, call.ID{}, "the last entry: "+err.Error())
		}
		t.lastJWS = jws
	}
	l.lostEntries()
	l.r.progress.last, l.r.progress.jws = t.last, t.lastJWS
	return nil
}

// maxLost bounds the list of lost entries.
const maxLost = 1 << 20

// lostEntries lists the entries that are missing, but for those of which an entry says so already.
func (l *loader) lostEntries() {
	t := l.r.table
	var told []call.Lost
	for _, at := range l.lost {
		jws, err := l.r.disk.readData(at, call.KindEntry)
		if err != nil {
			continue // then they are told again
		}
		if e, err := l.r.disk.entry(jws); err == nil && e.Lost != nil {
			told = append(told, *e.Lost)
		}
	}
	missing := func(from, to uint64) {
		for n := from; n < to && len(l.rec.LostEntries) < maxLost; n++ {
			if !slices.ContainsFunc(told, func(run call.Lost) bool { return run.First <= n && n <= run.Last }) {
				l.rec.LostEntries = append(l.rec.LostEntries, n)
			}
		}
	}
	want := t.accepted + 1
	for _, e := range t.entries {
		missing(want, e.number)
		want = e.number + 1
	}
	missing(want, t.last+1)
}
