// Package recorder is the one pump: it takes the periods of telephone lines, and puts calls into the ring.
//
//	r := recorder.New(recorder.Config{Ledger: ledger, Ring: ring, Seal: seal, Clock: clock, ...})
//	err := r.CloseInterrupted(calls, open, resume)  // of the run before
//	front, err := r.Line(recorder.LineConfig{Name: "front desk", Format: f, Detector: d, NewEncoder: e, ...})
//	front.Heard(period)                             // from one goroutine a line, for every period
//	err = r.Stop()                                  // when no more periods come
//
// # What a call holds
//
// A call's audio is the line's, frame by frame, from where its detector says that it began (which lies in the past: the
// line keeps LineConfig.History of it) to where it ended. What an encoder has been given cannot be taken back, so a call
// whose end is found late, by silence, ends where the period began that made it known. No frame stands in two calls, and
// none is left out between two calls that adjoin.
//
// Frames that were lost inside a call are silence in its media, a mark, and a line in its end and its manifest, so that
// the timeline stays true. A loss longer than LineConfig.MaxLoss ends the call. Losses outside calls become entries of
// the ledger, at most one a minute and a cause; an outage is one, when it is over.
//
// # When nothing can be stored
//
// What the ring refuses waits, and is offered again with each period, in order, so that the file in the ring is at all
// times a prefix of the whole. If the ring takes it in time, nothing is lost. If it refuses for LineConfig.MaxWait, what
// waits is given up and the call ends as "ring full" after what is stored: a ring that takes no audio keeps room for
// ends, and calls must end to be delivered and make room. As soon as the ring takes records again the call goes on as a
// new one, with what the history still holds. What was lost between is an entry of the ledger. Alarm and Status say so
// meanwhile.
//
// # After a crash
//
// The begin entry is stored before the header, and the end record before the end entry, so that whatever a crash leaves
// is a call that has begun and can be closed: CloseInterrupted does.
//
// The package starts no goroutine, and knows time only through the Clock and the periods.
package recorder

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/pcm"
)

// Detector says what happens on a line: line's Line. Positions are those of the periods; the events are in the
// order in which they are to be taken, and valid until the next Feed.
type Detector interface {
	Feed(p pcm.Period) []call.Event
}

// Chunk is a stretch of media and how many frames more it covers. Data is valid until emit returns.
type Chunk struct {
	Data   []byte
	Frames int64
}

// Encoder encodes one call. Close is called once, also after an error, and its chunks are the last.
type Encoder interface {
	Write(samples []int16, emit func(Chunk) error) error
	Close(emit func(Chunk) error) error
}

// File makes the records of one call file: seal's Writer.
type File interface {
	Ending
	Chunk(position int64, frames uint32, media []byte) (call.Record, error)
	Mark(m call.Mark) (call.Record, error)
	Retract() // takes back the record made last, which the ring refused
}

// Ending ends a call file.
type Ending interface {
	End(e call.End) (call.Record, error)
	Size() int64    // of the file so far
	SHA256() string // of the file so far, hex
	Chain() string  // over its records so far, hex
}

// Ledger numbers entries and has them stored: ledger's Ledger. The number is taken only where store succeeds.
type Ledger interface {
	Add(e call.Entry, store func(number uint64, jws []byte) error) (call.Entry, error)
}

// Ring stores records. Append is called by several goroutines, must not wait for a disk, and may keep the record's Data.
// A record of which it returns an error has not been stored; it is offered again.
type Ring interface {
	Append(rec call.Record) error
}

// Clock tells the time now.
type Clock interface {
	Anchor() call.Anchor
}

// Observer is told what happens, by the goroutines of the lines: it must be quick and safe for concurrent use.
type Observer interface {
	CallBegan(h call.Header, why call.Reason)
	CallEnded(h call.Header, m call.Manifest) // its end entry is in the ring

	// Gap tells of lost audio: inside a call with positions from its beginning, and outside with those of the line when
	// it is entered into the ledger.
	Gap(line string, inCall bool, g call.Gap)

	// Alarm tells what is wrong with a line; empty when nothing is any more.
	Alarm(line, what string)
}

// Config is what all lines share. All fields but Observer are needed.
type Config struct {
	Device   call.DeviceID // those of the ledger
	Epoch    call.Epoch
	Software string // version, for the manifests

	Ledger   Ledger
	Ring     Ring
	Seal     func(call.Header) (File, []call.Record, error) // begins a call file and gives its first records: header, key
	Clock    Clock
	Observer Observer
	Log      *slog.Logger
}

// Recorder records calls. Its methods are safe for concurrent use, but for Stop.
type Recorder struct {
	cfg   Config
	mu    sync.Mutex
	lines []*Line
}

// New makes a recorder without lines.
func New(cfg Config) *Recorder {
	if cfg.Observer == nil {
		cfg.Observer = nobody{}
	}
	return &Recorder{cfg: cfg}
}

// Line adds a telephone line. It makes an encoder and a header on trial, so that a wrong setting shows now and not when
// somebody calls.
func (r *Recorder) Line(cfg LineConfig) (*Line, error) {
	if cfg.Name == "" {
		return nil, errors.New("a line needs a name")
	}
	if cfg.Format.Rate < 1 || cfg.Format.Channels < 1 {
		return nil, fmt.Errorf("line %q: format of %d Hz, %d channels", cfg.Name, cfg.Format.Rate, cfg.Format.Channels)
	}
	encoder, err := cfg.NewEncoder(call.NewID())
	if err != nil {
		return nil, fmt.Errorf("line %q: %w", cfg.Name, err)
	}
	if err := encoder.Close(discard); err != nil {
		return nil, fmt.Errorf("line %q: %w", cfg.Name, err)
	}
	l := newLine(r.cfg, cfg)
	if _, _, err := r.cfg.Seal(r.cfg.header(&cfg, call.NewID(), call.BeganVoice, call.Anchor{})); err != nil {
		return nil, fmt.Errorf("line %q: %w", cfg.Name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, l)
	return l, nil
}

// Status is that of every line, in the order in which they were added.
func (r *Recorder) Status() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Status, len(r.lines))
	for i, l := range r.lines {
		all[i] = l.Status()
	}
	return all
}

// Stop ends the calls that go on as "recorder stopped". No line may be in Heard, nor be given another period. The error
// names the lines of which records could not be stored: their calls are closed at the next start.
func (r *Recorder) Stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, l := range r.lines {
		errs = append(errs, l.stop())
	}
	return errors.Join(errs...)
}

// BeginEpoch writes the first entry of a new ring. Last is the last entry known of the ring before; nil where it is not
// known.
func (r *Recorder) BeginEpoch(last *call.Seq) error {
	_, err := r.cfg.add(call.Entry{Type: call.EntryEpoch, Anchor: r.cfg.Clock.Anchor(), LastEnd: last})
	if err != nil {
		return fmt.Errorf("begin the ledger of a new ring: %w", err)
	}
	return nil
}

// Bury enters into the ledger that a call will never be delivered, by a tombstone: one that the ring gives up to make
// room (call.EndedRingFull), or one of which a crash left nothing but its begin entry (call.EndedPowerLost).
func (r *Recorder) Bury(id call.ID, line string, why call.Reason) error {
	_, err := r.cfg.add(call.Entry{Type: call.EntryTombstone, Anchor: r.cfg.Clock.Anchor(), Call: &id, Line: line, Reason: why})
	if err != nil {
		return fmt.Errorf("bury call %s: %w", id, err)
	}
	return nil
}

// Resume reads the stored bytes of a call and gives what can end it, and what its end should say of frames and
// gaps; or, where whole is true, what its end does say: seal's ResumeWriter.
type Resume func(stored io.Reader) (f Ending, end call.End, whole bool, err error)

// CloseInterrupted closes the calls that a crash left open: those that have no end get one ("power lost"), and those
// that have no end entry get that. Calls are what the ring holds; open gives the stored bytes of one. One that cannot be
// closed does not keep the others from it: the error names them all.
func (r *Recorder) CloseInterrupted(calls []call.Stored, open func(call.ID) (io.ReadCloser, error), resume Resume) error {
	var errs []error
	for _, c := range calls {
		if c.Manifest != nil || c.Receipt {
			continue
		}
		if err := r.close(c.Header, open, resume); err != nil {
			errs = append(errs, fmt.Errorf("close interrupted call %s: %w", c.Header.Call, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Recorder) close(h call.Header, open func(call.ID) (io.ReadCloser, error), resume Resume) error {
	stored, err := open(h.Call)
	if err != nil {
		return err
	}
	file, end, whole, err := resume(stored)
	if err := errors.Join(err, stored.Close()); err != nil {
		return err
	}
	if !whole {
		end.Reason, end.Recovered = call.EndedPowerLost, true
		rec, err := file.End(end)
		if err != nil {
			return err
		}
		if err := r.cfg.Ring.Append(rec); err != nil {
			return fmt.Errorf("store its end: %w", err)
		}
	}
	return r.cfg.addEnd(h, r.cfg.manifest(h, end, file))
}

// Amend enters into the ledger what the file of a call is after records of it were damaged on the card. Open gives the
// bytes as they are now.
func (r *Recorder) Amend(c call.Stored, holes []call.Hole, open func(call.ID) (io.ReadCloser, error), resume Resume) error {
	id := c.Header.Call
	stored, err := open(id)
	if err != nil {
		return fmt.Errorf("amend call %s: %w", id, err)
	}
	file, _, _, err := resume(stored)
	if err := errors.Join(err, stored.Close()); err != nil {
		return fmt.Errorf("amend call %s: %w", id, err)
	}
	_, err = r.cfg.add(call.Entry{
		Type: call.EntryAmendment, Anchor: r.cfg.Clock.Anchor(), Call: &id, Line: c.Header.Line,
		Amendment: &call.Amendment{Was: c.Manifest.SHA256, Size: file.Size(), SHA256: file.SHA256(), Chain: file.Chain(), Holes: holes},
	})
	if err != nil {
		return fmt.Errorf("amend call %s: %w", id, err)
	}
	return nil
}

// Lose enters into the ledger that recovery could not read its entries from first to last.
func (r *Recorder) Lose(first, last uint64) error {
	_, err := r.cfg.add(call.Entry{Type: call.EntryLost, Anchor: r.cfg.Clock.Anchor(), Lost: &call.Lost{First: first, Last: last}})
	if err != nil {
		return fmt.Errorf("enter the loss of entries %d to %d: %w", first, last, err)
	}
	return nil
}

// Correct enters into the ledger that the clock of a boot was wrong: at is a moment of it as the clock had it. Nothing that
// was signed before is signed again.
func (r *Recorder) Correct(at call.Anchor, add time.Duration, grade call.Grade) error {
	_, err := r.cfg.add(call.Entry{Type: call.EntryCorrection, Anchor: at, Correction: &call.Correction{BootID: at.BootID, Add: add, Grade: grade}})
	if err != nil {
		return fmt.Errorf("enter the correction of the clock by %v: %w", add, err)
	}
	return nil
}

// add makes an entry and stores it.
func (c *Config) add(e call.Entry) (call.Entry, error) {
	return c.Ledger.Add(e, c.storeEntry)
}

func (c *Config) storeEntry(number uint64, jws []byte) error {
	return c.Ring.Append(call.Record{Kind: call.KindEntry, Number: uint32(number), Data: jws})
}

// addEnd stores the end entry of a call and tells of it.
func (c *Config) addEnd(h call.Header, m call.Manifest) error {
	_, err := c.add(call.Entry{Type: call.EntryEnd, Anchor: c.Clock.Anchor(), Call: &h.Call, Line: h.Line, Manifest: &m})
	if err == nil {
		c.Observer.CallEnded(h, m)
	}
	return err
}

// manifest is that of a call whose file has its end.
func (c *Config) manifest(h call.Header, end call.End, file Ending) call.Manifest {
	if end.Gaps == nil {
		end.Gaps = []call.Gap{}
	}
	return call.Manifest{
		Began: h.Began, Ended: end.Reason, Anchor: h.Anchor,
		Duration: float64(end.Frames) / float64(h.Rate), Frames: end.Frames, Rate: h.Rate,
		Codec: h.Codec, Channels: h.Channels, Gaps: end.Gaps,
		Size: file.Size(), SHA256: file.SHA256(), Chain: file.Chain(), Short: end.Short, Recovered: end.Recovered, Software: c.Software,
	}
}

func discard(Chunk) error { return nil }

// nobody observes.
type nobody struct{}

func (nobody) CallBegan(call.Header, call.Reason)   {}
func (nobody) CallEnded(call.Header, call.Manifest) {}
func (nobody) Gap(string, bool, call.Gap)           {}
func (nobody) Alarm(string, string)                 {}
