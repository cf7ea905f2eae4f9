package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"math"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/linekeeper/linekeeper/call"
)

// Writer makes the records of one call file. Whoever uses it stores each record that it gives, in order, or takes it back
// with Retract: numbers, size and hashes are those of what is stored. The Data of a record is newly made and belongs to the
// receiver. A Writer is not for concurrent use. A method that returns an error has changed nothing.
//
// No two bodies are ever sealed under one number: a number is the nonce. Where a record was taken back, only the very
// same one is sealed in its place, which gives the very same bytes, or an end or a gap, which are not sealed.
type Writer struct {
	call   call.ID
	only   bool        // resumed: only an end may follow
	aead   cipher.AEAD // nil: in clear, or resumed
	header [sha256.Size]byte
	with   context
	now    state
	before state // the last record; its hash is nil where that cannot be taken back

	// The highest number that was sealed (0, the header's: none), and the hash of that record.
	sealed uint32
	leaf   [sha256.Size]byte
}

// state is where a file stands after a record.
type state struct {
	next  uint32 // number
	size  int64
	hash  hash.Cloner
	chain chain
	ended bool
}

// newHash is a hash that can be cloned, which Go's SHA-256 can.
func newHash() hash.Cloner { return sha256.New().(hash.Cloner) }

// NewWriter begins a call file and gives its first records: the header, and the call's key, newly drawn and wrapped to
// the recipients. Without recipients the call stays in clear and there is no key. The header's Version and Seal are
// filled in; a Seal that is set and says otherwise is an error, so that who wants one never gets the other by mistake.
func NewWriter(h call.Header, to Recipients) (*Writer, []call.Record, error) {
	wanted := h.Seal
	h.Version, h.Seal = Version, call.SealChaCha
	if len(to) == 0 {
		h.Seal = call.SealNone
	}
	if wanted != "" && wanted != h.Seal {
		return nil, nil, fmt.Errorf("write call header: seal %q was asked for with %d recipients", wanted, len(to))
	}
	if err := checkHeader(h); err != nil {
		return nil, nil, fmt.Errorf("write call header: %w", err)
	}
	w := &Writer{call: h.Call, now: state{hash: newHash()}}
	rec, err := w.text(call.KindHeader, 0, h)
	if err != nil {
		return nil, nil, err
	}
	records := []call.Record{rec}
	if h.Seal == call.SealChaCha {
		w.header = sha256.Sum256(rec.Data)
		if rec, err = w.key(to); err != nil {
			return nil, nil, err
		}
		records = append(records, rec)
	}
	w.before = state{}
	return w, records, nil
}

// key draws the call's key and makes its record. From here on it is nowhere but in w.aead, and wrapped.
func (w *Writer) key(to Recipients) (call.Record, error) {
	key := make([]byte, chacha20poly1305.KeySize)
	defer clear(key)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	wrapped, err := to.wrap(key)
	if err != nil {
		return call.Record{}, fmt.Errorf("write key of call %s: %w", w.call, err)
	}
	rec, err := w.add(Record{Kind: call.KindKey, Body: wrapped})
	if err != nil {
		return call.Record{}, err
	}
	w.aead, err = chacha20poly1305.New(key)
	return rec, err
}

// Chunk makes the record of a chunk: media that covers frames of the line from position on, of at most MaxBody -
// Overhead bytes. Media is copied.
func (w *Writer) Chunk(position int64, frames uint32, media []byte) (call.Record, error) {
	if w.only {
		return call.Record{}, errors.New("write chunk: a resumed call can only be ended")
	}
	return w.add(Record{Kind: call.KindChunk, Position: position, Frames: frames, Body: media})
}

// Mark makes the record of a mark. A gap (call.MarkGap) becomes a gap record, which is not sealed: recovery needs it
// and has no key.
func (w *Writer) Mark(m call.Mark) (call.Record, error) {
	if w.only {
		return call.Record{}, errors.New("write mark: a resumed call can only be ended")
	}
	if m.Kind == call.MarkGap {
		g := call.Gap{Position: m.Position, Frames: m.Frames, Cause: m.Value}
		if err := checkGap(g); err != nil {
			return call.Record{}, fmt.Errorf("write mark: %w", err)
		}
		return w.text(call.KindGap, g.Position, g)
	}
	if err := checkMark(m); err != nil {
		return call.Record{}, fmt.Errorf("write mark: %w", err)
	}
	return w.text(call.KindMark, m.Position, m)
}

// End makes the end record; nothing can follow. It fills in the count of records.
func (w *Writer) End(e call.End) (call.Record, error) {
	if e.Gaps == nil {
		e.Gaps = []call.Gap{}
	}
	e.Records = w.now.next + 1
	if err := checkEnd(e); err != nil {
		return call.Record{}, fmt.Errorf("write end: %w", err)
	}
	rec, err := w.text(call.KindEnd, e.Frames, e)
	w.now.ended = w.now.ended || err == nil
	return rec, err
}

// Retract takes back the record that was made last, which was not stored. What is made next stands in its place: the
// same record, an end or a gap. It does nothing before the first record after those of NewWriter, nor a second time for
// one record.
func (w *Writer) Retract() {
	if w.before.hash != nil {
		w.now, w.before = w.before, state{}
	}
}

// Size is that of the call file so far, in bytes.
func (w *Writer) Size() int64 { return w.now.size }

// SHA256 is the hash of the call file so far, in hex.
func (w *Writer) SHA256() string { return hex.EncodeToString(w.now.hash.Sum(nil)) }

// Chain is the chain over the records so far, in hex.
func (w *Writer) Chain() string { return hex.EncodeToString(w.now.chain[:]) }

func (w *Writer) text(kind call.Kind, position int64, v any) (call.Record, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return call.Record{}, fmt.Errorf("write record %d of call %s: %w", w.now.next, w.call, err)
	}
	return w.add(Record{Kind: kind, Position: position, Body: body})
}

func (w *Writer) add(r Record) (call.Record, error) {
	r.Number = w.now.next
	if err := w.check(r); err != nil {
		return call.Record{}, fmt.Errorf("write record %d of call %s: %w", r.Number, w.call, err)
	}
	clone, err := w.now.hash.Clone()
	if err != nil {
		return call.Record{}, fmt.Errorf("write record %d of call %s: %w", r.Number, w.call, err)
	}
	data := w.bytes(r)
	leaf := sha256.Sum256(data)
	if w.aead != nil && r.Sealed() {
		if r.Number < w.sealed || r.Number == w.sealed && leaf != w.leaf {
			return call.Record{}, fmt.Errorf("write record %d of call %s: another was sealed in its place; only that one, or an end, may follow", r.Number, w.call)
		}
		w.sealed, w.leaf = r.Number, leaf
	}
	w.before = w.now
	w.now.hash = clone
	w.now.hash.Write(data)
	w.now.chain.add(r.Number == 0, leaf)
	w.now.next++
	w.now.size += int64(len(data))
	return call.Record{Call: w.call, Kind: r.Kind, Number: r.Number, Data: data}, nil
}

// check refuses what could not be read again.
func (w *Writer) check(r Record) error {
	body := len(r.Body)
	if w.aead != nil && r.Sealed() {
		body += Overhead
	}
	switch {
	case w.now.ended:
		return errors.New("it has ended")
	case r.Number > maxNumber || r.Number == maxNumber && r.Kind != call.KindEnd:
		return errors.New("it has too many records")
	case body > MaxBody:
		return fmt.Errorf("%d bytes, at most %d", body, MaxBody)
	case r.Position < 0 || r.Position > math.MaxInt64-math.MaxUint32:
		return fmt.Errorf("position %d", r.Position)
	}
	return r.checkHead(body)
}

// bytes gives a record as it stands in the file, sealed where it has to be.
func (w *Writer) bytes(r Record) []byte {
	length := len(r.Body)
	if w.aead == nil || !r.Sealed() {
		return append(r.appendHead(make([]byte, 0, HeadSize+length), length), r.Body...)
	}
	length += Overhead
	data := r.appendHead(make([]byte, 0, HeadSize+length), length)
	w.with.set(w.header, data)
	return w.aead.Seal(data, w.with.nonce[:], r.Body, w.with.data[:])
}
