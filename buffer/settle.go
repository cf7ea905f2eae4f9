package buffer

import (
	"cmp"
	"errors"
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// finish settles what only the whole ring tells.
func (l *loader) finish() error {
	t := l.r.table
	for _, d := range l.orphans {
		l.rec.Damaged = append(l.rec.Damaged, d)
	}
	if err := l.ledger(); err != nil {
		return err
	}
	for _, s := range l.r.space.closed {
		if s.headless != nil && !s.dead() { // else power was lost while it was to be used again
			l.damage(s.number, call.ID{}, "its first page: "+s.headless.Error())
		}
	}
	for id, e := range l.begun {
		if t.calls[id] == nil && l.orphans[id].What == "" {
			l.rec.Announced = append(l.rec.Announced, e)
		}
	}
	slices.SortFunc(l.rec.Announced, func(a, b call.Entry) int { return cmp.Compare(a.Number, b.Number) })
	for _, c := range t.order {
		if c.gone || c.ended && c.manifest.seg != nil {
			continue
		}
		says, err := l.r.disk.describe(c)
		if err != nil {
			l.damage(c.parts[0].seg.number, c.id, err.Error())
		}
		stored := c.stored(says)
		if c.ended {
			l.rec.Unsigned = append(l.rec.Unsigned, stored)
			continue
		}
		c.interrupted = true
		l.r.progress.next[c.id] = c.next
		l.rec.Interrupted = append(l.rec.Interrupted, stored)
	}
	return nil
}

// ledger finds where the ledger stands.
func (l *loader) ledger() error {
	t := l.r.table
	t.last = l.number
	for _, at := range slices.Backward(l.states) {
		n, err := l.r.disk.readNote(at)
		if err != nil {
			l.damage(at.seg.number, call.ID{}, err.Error())
			continue
		}
		t.accept(n.Upto)
		if n.Last > t.last {
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
			l.damage(l.last.seg.number, call.ID{}, "the last entry: "+err.Error())
		}
		t.lastJWS = jws
	}
	want := t.accepted + 1
	for _, e := range t.entries {
		for ; want < e.number; want++ {
			l.rec.LostEntries = append(l.rec.LostEntries, want)
		}
		want = e.number + 1
	}
	for ; want <= t.last; want++ {
		l.rec.LostEntries = append(l.rec.LostEntries, want)
	}
	l.r.progress.last, l.r.progress.jws = t.last, t.lastJWS
	return nil
}
