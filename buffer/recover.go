package buffer

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linekeeper/linekeeper/call"
)

// Recovered is what Open found that the recorder has to act upon, or an operator should know.
type Recovered struct {
	New bool // there was no ring: this is a new one, with a new epoch

	// Interrupted are the calls without an end: power was lost. The recorder reads them back, appends their end record
	// and signs their end entry.
	Interrupted []call.Stored
	// Unsigned are the calls that ended but whose end entry is not stored.
	Unsigned []call.Stored
	// Announced are begin entries of which no record was stored: the call was lost with the last interval.
	Announced []call.Entry
	// LostEntries are numbers of ledger entries that are missing through damage.
	LostEntries []uint64

	Torn    int      // records that do not read back; as a rule half written when power was lost, before they were synced
	Damaged []Damage // what is lost though it was synced

	IndexSetAside string // where a damaged index was put; empty: it was sound
	Segments      int    // in use
	Scanned       int    // of them, without a directory
}

// Damage is something that was stored and cannot be read back.
type Damage struct {
	Segment uint32
	Call    call.ID // zero where it is of no call, or not known of which
	What    string
}

// Open opens the ring, or makes it where there is none. What a cut or damage has left to be done is in Recovered.
func Open(opts Options) (*Ring, Recovered, error) {
	if err := opts.complete(); err != nil {
		return nil, Recovered{}, err
	}
	r := &Ring{
		opts: opts, fs: opts.FS, log: opts.Log, table: newTable(), wake: make(chan struct{}, 1),
		next: make(map[call.ID]uint32), kept: make(map[string][]byte), ended: make(map[call.ID]struct{}),
	}
	names, err := r.fs.List(opts.Dir)
	if err != nil {
		return nil, Recovered{}, fmt.Errorf("open ring %s: %w", opts.Dir, err)
	}
	if r.lock, err = r.fs.Lock(filepath.Join(opts.Dir, "lock")); err != nil {
		var locked *LockedError
		if errors.As(err, &locked) {
			return nil, Recovered{}, err
		}
		return nil, Recovered{}, fmt.Errorf("open ring %s (the folder must be writable for the recorder's user): %w", opts.Dir, err)
	}
	rec, err := r.load(names)
	if err != nil {
		err = errors.Join(fmt.Errorf("open ring %s: %w", opts.Dir, err), r.index.close(), r.lock.Close())
		return nil, rec, err
	}
	return r, rec, nil
}

// load reads the ring.
func (r *Ring) load(names []string) (Recovered, error) {
	l := &loader{r: r, orphans: make(map[call.ID]Damage), begun: make(map[call.ID]call.Entry)}
	if err := l.files(names); err != nil {
		return l.rec, err
	}
	var err error
	if r.index, l.rec.IndexSetAside, err = openIndex(r.opts.Index, r.epoch, r.fs, r.log); err != nil {
		return l.rec, err
	}
	err = r.index.rebuild(func() error {
		for i, s := range r.closed {
			if err := l.segment(s, i == len(r.closed)-1); err != nil {
				return fmt.Errorf("segment %d: %w", s.number, err)
			}
		}
		return nil
	})
	if err == nil {
		err = l.finish()
	}
	if err != nil {
		return l.rec, err
	}
	r.index.prune(func(id call.ID) bool { return r.table.calls[id] != nil })
	if l.open != nil {
		r.closed = r.closed[:len(r.closed)-1]
		r.open = l.open
		r.spare = l.open.spare(r.opts.SegmentBytes)
		if l.dropped { // what was dropped must not be found again among what comes behind it
			r.closeSegment()
		}
	}
	r.survey()
	if l.rec.New {
		return l.rec, r.openNext()
	}
	return l.rec, nil
}

const (
	segmentPrefix = "segment-"
	segmentSuffix = ".lkr"
)

func segmentName(number uint32) string {
	return fmt.Sprintf("%s%05d%s", segmentPrefix, number, segmentSuffix)
}

// segmentNumber reads a segment's file name.
func segmentNumber(name string) (n uint32, ok bool) {
	if _, err := fmt.Sscanf(name, segmentPrefix+"%d"+segmentSuffix, &n); err != nil {
		return 0, false
	}
	return n, segmentName(n) == name
}

// head is what a segment's file says of itself.
type head struct {
	segmentHead
	number uint32 // by its name
	size   int64
	err    error
}

// files finds the segments and orders them.
func (l *loader) files(names []string) error {
	r := l.r
	var heads []head
	epochs := make(map[call.Epoch]int)
	for _, name := range names {
		if strings.HasSuffix(name, temporary) {
			if err := r.fs.Remove(filepath.Join(r.opts.Dir, name)); err != nil {
				return fmt.Errorf("remove a half-made segment: %w", err)
			}
			continue
		}
		n, ok := segmentNumber(name)
		if !ok {
			continue
		}
		h := r.readHead(n)
		var version *VersionError
		if errors.As(h.err, &version) {
			return fmt.Errorf("%s: %w", name, h.err)
		}
		if h.err == nil {
			epochs[h.epoch]++
			if h.segmentHead.size != uint32(r.opts.SegmentBytes) {
				return fmt.Errorf("its segments have %s, the configuration says %s: keep the size that the ring was made with",
					mebibytes(int64(h.segmentHead.size)), mebibytes(r.opts.SegmentBytes))
			}
		}
		heads = append(heads, h)
	}
	for e, n := range epochs {
		if n > epochs[r.epoch] || n == epochs[r.epoch] && e < r.epoch {
			r.epoch = e
		}
	}
	switch {
	case len(heads) == 0:
		r.epoch, r.fresh, l.rec.New = call.NewEpoch(), true, true
		if err := r.fs.SyncFolder(filepath.Dir(r.opts.Dir)); err != nil {
			return err
		}
	case len(epochs) == 0:
		return fmt.Errorf("none of its %d segments has a readable first page (%w): move them away to begin a new ring",
			len(heads), heads[0].err)
	}
	return l.arrange(heads)
}

func (r *Ring) readHead(n uint32) head {
	h := head{number: n}
	f, err := r.fs.Open(r.path(n))
	if err != nil {
		h.err = err
		return h
	}
	defer func() { _ = f.Close() }() // only read
	if h.size, h.err = f.Size(); h.err != nil {
		return h
	}
	b := make([]byte, segmentHeader)
	if _, h.err = f.ReadAt(b, 0); h.err == nil {
		h.segmentHead, h.err = parseSegmentHead(b)
	}
	return h
}

// arrange makes the table of segments, those in use in the order of their generations.
func (l *loader) arrange(heads []head) error {
	r := l.r
	count := uint32(r.opts.SizeBytes / r.opts.SegmentBytes)
	for _, h := range heads {
		if h.number >= count {
			count = min(h.number+1, maxSegments)
		}
	}
	r.segments = make([]*segment, count)
	for i := range r.segments {
		r.segments[i] = &segment{number: uint32(i), broken: int64(i) >= r.opts.SizeBytes/r.opts.SegmentBytes}
	}
	generations := make(map[uint32]bool)
	for _, h := range heads {
		if h.number >= count {
			continue
		}
		s := r.segments[h.number]
		s.generation = h.generation
		if h.err != nil {
			l.damage(h.number, call.ID{}, "its first page: "+h.err.Error())
			s.generation = r.generationByRecords(h)
		} else if h.epoch != r.epoch || h.segmentHead.number != h.number {
			if err := l.setAside(h); err != nil {
				return err
			}
			s.generation = 0
			continue
		}
		if s.generation == 0 || generations[s.generation] {
			s.generation = 0 // nothing of this ring in it: it is made again when it is its turn
			continue
		}
		if h.size < r.opts.SegmentBytes {
			l.damage(h.number, call.ID{}, fmt.Sprintf("cut to %d bytes", h.size))
			s.broken = true
		}
		generations[s.generation] = true
		r.closed = append(r.closed, s)
		r.generation = max(r.generation, s.generation)
	}
	slices.SortFunc(r.closed, func(a, b *segment) int { return cmp.Compare(a.generation, b.generation) })
	l.rec.Segments = len(r.closed)
	return nil
}

// maxSegments bounds the table against absurd file names.
const maxSegments = 1 << 20

// setAside renames a segment that belongs to another ring or another place of this one.
func (l *loader) setAside(h head) error {
	l.damage(h.number, call.ID{}, fmt.Sprintf("it is segment %d of ring %v, and was set aside", h.segmentHead.number, h.epoch))
	from := l.r.path(h.number)
	for n := 1; ; n++ {
		to := fmt.Sprintf("%s.foreign-%d", from, n)
		f, err := l.r.fs.Open(to)
		if err == nil {
			if err := f.Close(); err != nil {
				return err
			}
			continue
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := l.r.fs.Rename(from, to); err != nil {
			return fmt.Errorf("set a foreign segment aside: %w", err)
		}
		return l.r.fs.SyncFolder(l.r.opts.Dir)
	}
}

// generationByRecords tells the generation of a segment whose first page is damaged by the records in it.
func (r *Ring) generationByRecords(h head) (generation uint32) {
	f, err := r.fs.Open(r.path(h.number))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }() // only read
	_, _ = scan(f, r.epoch, 0, pageSize, min(h.size, r.opts.SegmentBytes), func(f frame) error {
		generation = max(generation, f.generation)
		return nil
	})
	return generation
}

func (l *loader) damage(segment uint32, id call.ID, what string) {
	l.rec.Damaged = append(l.rec.Damaged, Damage{Segment: segment, Call: id, What: what})
}
