package buffer

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// damage deals with records that do not read back though they were synced, found while the ring is open.
type damage struct{ r *Ring }

// found looks again at a part of a call in which a record could not be read, or at its end entry, and notes what is
// lost. The caller keeps the segment from being used again.
func (m damage) found(id call.ID, p part, end waiting) {
	if end.seg != nil {
		m.entry(end, &CorruptError{})
		return
	}
	holes, err := m.r.disk.holes(id, p)
	if err != nil {
		m.r.log.Error("a record cannot be read", "call", id, "segment", p.seg.number, "error", err)
		return
	}
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	c := m.r.table.calls[id]
	if c == nil || c.leaves() {
		return
	}
	state := c.state()
	holes = slices.DeleteFunc(holes, func(h call.Hole) bool {
		known := slices.ContainsFunc(state.Holes, func(k call.Hole) bool {
			return k.Record < h.Record+h.Records && h.Record < k.Record+k.Records
		})
		return known || !slices.ContainsFunc(c.parts, func(q part) bool {
			return q.seg == p.seg && q.first <= h.Record && q.next() >= h.Record+h.Records
		})
	})
	if len(holes) == 0 {
		return
	}
	state = state.withHoles(holes)
	state.Ended = state.Ended || c.endsIn(holes)
	it := noteItem(note{Op: opCall, Call: &c.id, callState: state})
	if err := m.r.admit(it, 0); err != nil {
		m.r.log.Error("damage to a call cannot be noted", "call", id, "error", err)
		return
	}
	m.r.table.setState(c, state)
	m.r.queue.put(it)
	m.r.log.Error("records of a call are damaged on the card: it has a hole", "call", id, "segment", p.seg.number, "holes", len(holes))
}

// endsIn says whether the call's end record is among the damaged.
func (c *stored) endsIn(holes []call.Hole) bool {
	return c.ended && slices.ContainsFunc(holes, func(h call.Hole) bool { return h.Record+h.Records == c.next() })
}

// entry notes that an entry is lost: from the next sync on it counts as missing. What becomes known when the ring is
// opened next is in Recovered.
func (m damage) entry(w waiting, err error) {
	if !damaged(err) || m.r.disk.unreachable(w.seg) != nil {
		return
	}
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if m.r.table.losing[w.number] {
		return
	}
	it := noteItem(note{Op: opLost, Last: w.number, Where: []segmentRef{w.seg.ref()}})
	if err := m.r.admit(it, 0); err != nil {
		m.r.log.Error("the damage of an entry cannot be noted", "entry", w.number, "error", err)
		return
	}
	m.r.table.losing[w.number] = true
	m.r.queue.put(it)
	m.r.log.Error("an entry of the ledger is damaged on the card and lost", "entry", w.number, "segment", w.seg.number)
}

// holes finds which records of a part are damaged, and keeps their bytes aside. An error says that the card cannot be
// reached at all, which proves nothing.
func (d *disk) holes(id call.ID, p part) ([]call.Hole, error) {
	f, err := d.fs.Open(d.path(p.seg.number))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	records, gaps, err := d.locate(f, p.seg.generation, callRow{id, p.run})
	if err != nil {
		return nil, err
	}
	holes := p.missing(records)
	if err := d.unreachable(p.seg); err != nil {
		return nil, err
	}
	if len(holes) > 0 {
		if err := d.keepAside(f, p.seg, id, gaps); err != nil {
			d.log.Warn("damaged bytes cannot be kept aside", "segment", p.seg.number, "error", err)
		}
	}
	return holes, nil
}

// unreachable says why a segment cannot be read at all, or why it is another; nil: it can be read.
func (d *disk) unreachable(s *segment) error {
	if s.headless != nil {
		return nil // known when the ring was opened
	}
	h := d.readHead(s.number)
	if h.err == nil && (h.generation != s.generation || h.epoch != d.epoch) {
		return errors.New("another segment stands in its place")
	}
	return h.err
}

// Damaged bytes are kept in files of a folder beside the segments, so many and so much.
const (
	damagedFolder = "damaged"
	maxKept       = 64
	maxKeptBytes  = 16 << 20
)

// keepAside copies bytes of a segment that should be records and are none, one file each, named by segment, generation,
// offset and call: the one that the bytes themselves name, if they do.
func (d *disk) keepAside(f File, s *segment, id call.ID, gaps []stretch) error {
	folder := filepath.Join(d.dir, damagedFolder)
	var names []string
	var kept int64
	for _, g := range gaps {
		b := make([]byte, min(g.to-g.from, frameHeader+maxData))
		n, _ := f.ReadAt(b, g.from) // what cannot be read cannot be kept
		b = bytes.TrimRight(b[:n], "\x00")
		lead := (len(b) - len(bytes.TrimLeft(b, "\x00"))) / frameAlign * frameAlign
		if b = b[lead:]; len(b) == 0 {
			continue
		}
		if names == nil {
			var err error
			if names, kept, err = d.kept(folder); err != nil {
				return err
			}
		}
		of := id
		if claim, _, _ := parseFrame(append(slices.Clone(b), make([]byte, frameHeader)...), d.epoch, 0, 0); claim.generation == s.generation {
			of = claim.call
		}
		name := fmt.Sprintf("segment-%05d-%d-%d-%v.bin", s.number, s.generation, g.from+int64(lead), of)
		if slices.Contains(names, name) {
			continue
		}
		if len(names) >= maxKept || kept+int64(len(b)) > maxKeptBytes {
			return fmt.Errorf("%s holds %d files with %s already: move them away", folder, len(names), mebibytes(kept))
		}
		if err := publish(d.fs, filepath.Join(folder, name), func(f File) error { return second(f.WriteAt(b, 0)) }); err != nil {
			return err
		}
		names, kept = append(names, name), kept+int64(len(b))
	}
	return nil
}

// kept lists what is in the folder already, and how much.
func (d *disk) kept(folder string) (names []string, size int64, err error) {
	if names, err = d.fs.List(folder); err != nil {
		return nil, 0, err
	}
	if err := d.fs.SyncFolder(d.dir); err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		f, err := d.fs.Open(filepath.Join(folder, name))
		if err != nil {
			return nil, 0, err
		}
		n, err := f.Size()
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, 0, err
		}
		size += n
	}
	if names == nil {
		names = []string{}
	}
	return names, size, nil
}
