package buffer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// Errors that callers tell apart.
var (
	// ErrFull says that the ring has no room that may be given up. The call goes on with a gap, and an alarm.
	ErrFull = errors.New("the ring is full")
	// ErrOverflow says that the card has not kept up for longer than the queue lasts. The call goes on with a gap.
	ErrOverflow = errors.New("the card does not keep up, the queue is full")
	// ErrUnknownCall says that the ring does not have the call, or no more.
	ErrUnknownCall = errors.New("no such call in the ring")
	// ErrClosed says that the ring was closed.
	ErrClosed = errors.New("the ring is closed")
)

// Policy is what happens when there is no room left.
type Policy string

// The policies.
const (
	StopWhenFull      Policy = "stop"      // refuse new audio with ErrFull, until calls are receipted
	OverwriteWhenFull Policy = "overwrite" // give up the oldest calls, each with a tombstone
)

// Limits and defaults.
const (
	MinSize         = 64 << 20
	DefaultSegment  = 8 << 20
	DefaultInterval = time.Second
	// DefaultQueue lasts for 30 s of eight lines of FLAC at 16 kHz, and for minutes of Opus.
	DefaultQueue = 8 << 20
	// MaxRecord is the longest data of one record, in bytes; a record also has to fit into a quarter of a segment.
	MaxRecord = maxData
	// DefaultHoldShare is the share of the ring that calls on hold may take without an alarm.
	DefaultHoldShare = 0.25

	maxData     = 1 << 20
	minSegments = 8
	minSegment  = 64 << 10
	maxSegment  = 256 << 20 // so that a page's number has 16 bits
)

// Options says where the ring is and how it behaves. Dir, Header and Entry are needed.
type Options struct {
	Dir          string // the ring's folder, made where it is missing
	Index        string // path of the index; empty: none, and uploads' resume state is not kept
	SizeBytes    int64  // of all segments together: at least eight, which is MinSize with segments of DefaultSegment
	SegmentBytes int64  // of one segment; fixed when the ring is made; 0: DefaultSegment
	SyncInterval time.Duration
	QueueBytes   int64 // of records that wait for the card; 0: DefaultQueue
	WhenFull     Policy
	HoldShare    float64 // of the ring, up to 1, from which on Status says that holds take too much; 0: DefaultHoldShare

	// GiveUp is asked to sign and append the tombstone of a call before the ring gives it up, and may refuse by an
	// error: then the call stays. It is called from Run or Sync and must call neither. Needed to overwrite.
	GiveUp func(call.Stored) error

	// Damaged is told that records of a call were found damaged, whose manifest speaks of them as if they were whole:
	// from now on OpenCall gives the file with these holes, and the caller signs what it is now, by an amendment entry.
	// Until that entry is stored the call counts as parked. Holes are all of the call's, in order. It is called from Run
	// or Sync and must call neither. What Open finds is in Recovered instead. Nil: nobody is told.
	Damaged func(id call.ID, holes []call.Hole)

	// Hole makes the bytes, exactly size, that stand in a call file for records that are damaged: seal.Hole. Nil: zeros.
	Hole func(first, records uint32, size int64) []byte

	Header func(data []byte) (call.Header, error) // decodes a header record
	Entry  func(data []byte) (call.Entry, error)  // decodes an entry record

	Log *slog.Logger     // nil: none
	Now func() time.Time // for Status; nil: time.Now
	FS  FS               // nil: the system's
}

func (o *Options) complete() error {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegment
	}
	if o.SyncInterval == 0 {
		o.SyncInterval = DefaultInterval
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = DefaultQueue
	}
	if o.WhenFull == "" {
		o.WhenFull = StopWhenFull
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FS == nil {
		o.FS = osFS{}
	}
	if o.HoldShare == 0 {
		o.HoldShare = DefaultHoldShare
	}
	if o.Damaged == nil {
		o.Damaged = func(call.ID, []call.Hole) {}
	}
	if o.Hole == nil {
		o.Hole = func(_, _ uint32, size int64) []byte { return make([]byte, size) }
	}
	switch {
	case o.Dir == "" || o.Header == nil || o.Entry == nil:
		return errors.New("open ring: Dir, Header and Entry are needed")
	case o.SegmentBytes < minSegment || o.SegmentBytes > maxSegment || o.SegmentBytes%pageSize != 0:
		return fmt.Errorf("open ring %s: segments of %d bytes: want whole pages, from 64 KiB to 256 MiB", o.Dir, o.SegmentBytes)
	case o.HoldShare < 0 || o.HoldShare > 1:
		return fmt.Errorf("open ring %s: share for holds %v: want 0 to 1", o.Dir, o.HoldShare)
	case o.SizeBytes < minSegments*o.SegmentBytes:
		return fmt.Errorf("open ring %s: %s is too small: want at least %s (%d segments)", o.Dir,
			mebibytes(o.SizeBytes), mebibytes(minSegments*o.SegmentBytes), minSegments)
	case o.WhenFull != StopWhenFull && o.WhenFull != OverwriteWhenFull:
		return fmt.Errorf("open ring %s: when full %q: want %q or %q", o.Dir, o.WhenFull, StopWhenFull, OverwriteWhenFull)
	case o.WhenFull == OverwriteWhenFull && o.GiveUp == nil:
		return fmt.Errorf("open ring %s: overwriting needs GiveUp", o.Dir)
	}
	return nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20)) }

// Ring is the store on the card: a set of preallocated segment files that are overwritten in place, in the order in
// which they become free. All methods may be called at once from anywhere.
//
// What it promises (docs/architecture.md, "The ring"):
//
//  1. After a cut a call in progress has lost at most what was appended since the last sync. Its end is for the
//     recorder to write: Open reports it in Recovered.
//  2. What was synced is never lost, and no call is given in part as if whole.
//  3. A damaged record costs that record. Its bytes are kept aside in the folder "damaged", the call keeps its offsets
//     with a hole, which is remembered, and the caller is told so that it amends the manifest. Nothing after it is lost.
//  4. Nothing but the resume state of uploads exists in the index alone.
//  5. Receipted calls give up their room first: what else is live in their segments is copied forward, at a bounded rate,
//     so that no call keeps the room of others. Then WhenFull decides. A call on hold is never given up, an entry that is
//     not receipted neither. A reader's segments are never used again under it.
//  6. In the steady state no file grows: a segment's blocks are written when it is first used.
//  7. Append never waits for the card: it copies into a queue of QueueBytes.
type Ring struct {
	opts  Options
	log   *slog.Logger
	fresh bool // made by this Open
	lock  io.Closer
	disk  *disk
	index *index

	writing sync.Mutex // held through a flush; taken before mu
	writer  *writer

	mu       sync.Mutex
	table    *table
	space    space
	queue    queue
	progress progress
	status   Status
	isClosed bool
}

// Segments that are kept back: audio leaves two free, so that calls can still be ended, entries signed, and receipts
// taken; entries leave one for receipts and the like, which make room.
const (
	reserveForAudio   = 2
	reserveForEntries = 1
)

// Append takes a record of a call, or an entry of the ledger, on its way to the card; rec.Data may be used again when it
// returns. It never waits for the card. Records of a call come in the order of their numbers, from the header, 0, to the
// end; entries in the order of theirs. On ErrFull, ErrOverflow or any other error nothing was taken, and the same number
// is the next.
func (r *Ring) Append(rec call.Record) error {
	it := &item{Record: rec}
	reserve := reserveForAudio
	switch {
	case it.frameSize() > r.disk.longest():
		return fmt.Errorf("append record of %d bytes: too long", len(rec.Data))
	case rec.Kind == call.KindEntry:
		e, err := r.opts.Entry(rec.Data)
		if err != nil {
			return fmt.Errorf("append entry: %w", err)
		}
		it.entry, it.Number, reserve = &e, uint32(e.Number), reserveForEntries
		it.Call = call.ID{}
	case !rec.Kind.InFile():
		return fmt.Errorf("append record of kind %d: not of a call and not an entry", rec.Kind)
	case rec.Call.IsZero():
		return errors.New("append record: of no call")
	case rec.Kind == call.KindEnd:
		reserve = reserveForEntries
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.progress.check(it, r.disk.epoch, r.table.calls[it.Call]); err != nil {
		return err
	}
	if err := r.admit(it, reserve); err != nil {
		return err
	}
	it.Data = bytes.Clone(rec.Data)
	r.progress.advance(it)
	r.queue.put(it)
	return nil
}

// admit says whether there is room in the queue and on the card.
func (r *Ring) admit(it *item, reserve int) error {
	if r.isClosed {
		return ErrClosed
	}
	if it.frameSize() > r.disk.longest() {
		return fmt.Errorf("a record of %d bytes is too long", len(it.Data))
	}
	limit := r.opts.QueueBytes
	if reserve < reserveForAudio {
		limit += MaxRecord // ends, entries and receipts still get in behind audio that does not
	}
	if r.queue.bytes+int64(len(it.Data)) > limit {
		return ErrOverflow
	}
	if r.queue.cost+it.cost() > r.space.room(reserve, r.table.overhead(), max(r.queue.largest, it.frameSize())) {
		return ErrFull
	}
	return nil
}

// Run writes and syncs what was appended, once an interval for all lines, until ctx ends; then once more. A failure is
// logged, shown in Status, and tried again at the next interval.
func (r *Ring) Run(ctx context.Context) error {
	tick := time.NewTicker(r.opts.SyncInterval)
	defer tick.Stop()
	var failing bool
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return r.Sync()
		case <-tick.C:
		case <-r.queue.wake:
		}
		if n%retryGrowth == 0 {
			r.mu.Lock()
			r.space.tryGrowth()
			r.mu.Unlock()
		}
		err := r.Sync()
		if err != nil && !failing {
			r.log.Error("the card fails, records wait in memory", "error", err)
		}
		if err == nil && failing {
			r.log.Info("the card works again")
		}
		failing = err != nil
	}
}

// Sync writes everything appended so far and makes it durable; only then is it visible to readers. After an error the
// records are kept and tried again at the next Sync.
func (r *Ring) Sync() error {
	r.writing.Lock()
	defer r.writing.Unlock()
	reclaim := reclaimer{r: r, budget: max(minCopy, r.disk.size/copyShare)}
	for range maxRounds {
		if err := r.writer.drain(); err != nil {
			r.mu.Lock()
			r.status.Err = err.Error()
			r.mu.Unlock()
			return err
		}
		more := r.writer.tellHoles()
		if !reclaim.makeRoom() && !more {
			break
		}
	}
	return nil
}

// maxRounds bounds how often one Sync writes what making room has added.
const maxRounds = 8

// Close syncs what was appended and lets go of the ring.
func (r *Ring) Close() error {
	err := r.Sync()
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	wasClosed := r.isClosed
	r.isClosed = true
	r.mu.Unlock()
	if wasClosed {
		return nil
	}
	if err == nil {
		err = r.writer.sealGroup()
	}
	if r.writer.open != nil {
		err = errors.Join(err, r.writer.open.file.Close())
	}
	r.writer.tellIndex(nil, nil)
	return errors.Join(err, r.index.close(), r.lock.Close())
}

// State is where the ledger stands.
type State struct {
	Epoch call.Epoch // of this ring
	New   bool       // this Open made the ring
	Last  uint64     // number of the last entry; 0: none yet
	JWS   []byte     // of that entry, exactly; nil at 0
}

// State says where the ledger goes on. It survives the release of every entry.
func (r *Ring) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return State{Epoch: r.disk.epoch, New: r.fresh, Last: r.progress.last, JWS: bytes.Clone(r.progress.jws)}
}
