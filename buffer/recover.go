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
	// Holed are the calls of which records are damaged, and whose end entry does not know of it. The caller reads such a
	// call back, with its holes, and signs what its file is now, by an amendment entry.
	Holed []Holed
	// LostEntries are numbers of ledger entries that are missing through damage, and of which no entry says so yet.
	LostEntries []uint64

	Torn    int      // records that do not read back; as a rule half written when power was lost, before they were synced
	Damaged []Damage // what is lost though it was synced

	IndexSetAside string // where a damaged index was put; empty: it was sound
	Segments      int    // in use
	Scanned       int    // of them, without a directory
}

// Holed is a call with damaged records.
type Holed struct {
	Call  call.ID
	Holes []call.Hole // all that its file has, in order
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
		opts: opts, log: opts.Log, table: newTable(),
		disk:     &disk{fs: opts.FS, dir: opts.Dir, size: opts.SegmentBytes, log: opts.Log, parseHeader: opts.Header, entry: opts.Entry, hole: opts.Hole},
		queue:    queue{limit: opts.QueueBytes, wake: make(chan struct{}, 1)},
		space:    space{size: opts.SegmentBytes},
		progress: progress{calls: make(map[call.ID]cursor)},
	}
	r.writer = &writer{r: r, ended: make(map[call.ID]struct{})}
	names, err := opts.FS.List(opts.Dir)
	if err != nil {
		return nil, Recovered{}, fmt.Errorf("open ring %s: %w", opts.Dir, err)
	}
	if r.lock, err = opts.FS.Lock(filepath.Join(opts.Dir, "lock")); err != nil {
		var locked *LockedError
		if errors.As(err, &locked) {
			return nil, Recovered{}, err
		}
		return nil, Recovered{}, fmt.Errorf("open ring %s (the folder must be writable for the recorder's user): %w", opts.Dir, err)
	}
	l := newLoader(r)
	if err := l.load(names); err != nil {
		if l.open != nil {
			_ = l.open.file.Close() // nothing was written
		}
		err = errors.Join(fmt.Errorf("open ring %s: %w", opts.Dir, err), r.index.close(), r.lock.Close())
		return nil, l.rec, err
	}
	return r, l.rec, nil
}

// load reads the ring.
func (l *loader) load(names []string) (err error) {
	r := l.r
	// A segment that an earlier life of the program made is used only when its name is durable.
	if err := r.disk.fs.SyncFolder(r.disk.dir); err != nil {
		return err
	}
	if err := l.files(names); err != nil {
		return err
	}
	r.index, l.rec.IndexSetAside, err = openIndex(r.opts.Index, r.disk.epoch, r.disk.fs, r.log)
	if err != nil {
		return err
	}
	closed := r.space.closed
	err = r.index.rebuild(func() error {
		for i, s := range closed {
			if err := l.segment(s, i == len(closed)-1); err != nil {
				return fmt.Errorf("segment %d: %w", s.number, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := l.finish(); err != nil {
		return err
	}
	r.index.prune(func(id call.ID) bool { return r.table.calls[id] != nil })
	if l.open != nil {
		r.space.closed = closed[:len(closed)-1]
		r.space.spare = l.open.spare(r.disk.size)
		if r.writer.open = l.open; l.dropped { // what was dropped must not be found again among what comes behind it
			r.writer.closeSegment()
		}
	}
	r.space.survey()
	if l.rec.New {
		return r.writer.openNext()
	}
	return nil
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
		if strings.HasPrefix(name, segmentPrefix) && strings.HasSuffix(name, temporary) {
			if err := r.disk.fs.Remove(filepath.Join(r.opts.Dir, name)); err != nil {
				return fmt.Errorf("remove a half-made segment: %w", err)
			}
			continue
		}
		n, ok := segmentNumber(name)
		if !ok {
			continue
		}
		h := r.disk.readHead(n)
		var version *VersionError
		if errors.As(h.err, &version) {
			return fmt.Errorf("%s: %w", name, h.err)
		}
		if h.err == nil {
			epochs[h.epoch]++
			if h.segmentHead.size != uint32(r.disk.size) {
				return fmt.Errorf("its segments have %s, the configuration says %s: keep the size that the ring was made with",
					mebibytes(int64(h.segmentHead.size)), mebibytes(r.disk.size))
			}
		}
		heads = append(heads, h)
	}
	for e, n := range epochs {
		if n > epochs[r.disk.epoch] || n == epochs[r.disk.epoch] && e < r.disk.epoch {
			r.disk.epoch = e
		}
	}
	switch {
	case len(heads) == 0:
		r.disk.epoch, r.fresh, l.rec.New = call.NewEpoch(), true, true
		if err := r.disk.fs.SyncFolder(filepath.Dir(r.opts.Dir)); err != nil {
			return err
		}
	case len(epochs) == 0:
		return fmt.Errorf("none of its %d segments has a readable first page (%w): move them away to begin a new ring",
			len(heads), heads[0].err)
	}
	return l.arrange(heads)
}

// arrange makes the table of segments, those in use in the order of their generations.
func (l *loader) arrange(heads []head) error {
	r := l.r
	count := uint32(r.opts.SizeBytes / r.disk.size)
	for _, h := range heads {
		if h.number >= count {
			count = min(h.number+1, maxSegments)
		}
	}
	r.space.segments = make([]*segment, count)
	for i := range r.space.segments {
		r.space.segments[i] = &segment{number: uint32(i), broken: int64(i) >= r.opts.SizeBytes/r.disk.size}
	}
	generations := make(map[uint32]bool)
	for _, h := range heads {
		if h.number >= count {
			continue
		}
		s := r.space.segments[h.number]
		s.generation = h.generation
		if h.err != nil {
			s.headless = h.err
			s.generation = r.disk.generationByRecords(h)
		} else if h.epoch != r.disk.epoch || h.segmentHead.number != h.number {
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
		if h.size < r.disk.size {
			l.damage(h.number, call.ID{}, fmt.Sprintf("cut to %d bytes", h.size))
			s.broken = true
		}
		generations[s.generation] = true
		r.space.closed = append(r.space.closed, s)
		r.space.generation = max(r.space.generation, s.generation)
	}
	slices.SortFunc(r.space.closed, func(a, b *segment) int { return cmp.Compare(a.generation, b.generation) })
	l.rec.Segments = len(r.space.closed)
	return nil
}

// maxSegments bounds the table against absurd file names.
const maxSegments = 1 << 20

// setAside renames a segment that belongs to another ring or another place of this one.
func (l *loader) setAside(h head) error {
	l.damage(h.number, call.ID{}, fmt.Sprintf("it is segment %d of ring %v, and was set aside", h.segmentHead.number, h.epoch))
	from := l.r.disk.path(h.number)
	for n := 1; ; n++ {
		to := fmt.Sprintf("%s.foreign-%d", from, n)
		f, err := l.r.disk.fs.Open(to)
		if err == nil {
			if err := f.Close(); err != nil {
				return err
			}
			continue
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := l.r.disk.fs.Rename(from, to); err != nil {
			return fmt.Errorf("set a foreign segment aside: %w", err)
		}
		return l.r.disk.fs.SyncFolder(l.r.disk.dir)
	}
}

func (l *loader) damage(segment uint32, id call.ID, what string) {
	l.rec.Damaged = append(l.rec.Damaged, Damage{Segment: segment, Call: id, What: what})
}
