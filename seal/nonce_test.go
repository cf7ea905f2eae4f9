package seal_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
)

// use is what must not come twice with another plaintext: a call key, which the hash of the key record stands for, and
// a nonce, which is a record's number.
type use struct {
	key    [sha256.Size]byte
	number uint32
}

// TestNoNonceTwice writes calls through storms of refused appends, retries, changes of mind, errors and crashes. Every
// sealed record that a Writer ever gave away, stored or not, is opened and collected: under one key no number has two
// plaintexts.
func TestNoNonceTwice(t *testing.T) {
	const calls, steps = 400, 40
	key := newKey(t)
	seen, retried, refused := map[use][]byte{}, 0, 0
	for seed := range uint64(calls) {
		random := rand.New(rand.NewPCG(4, seed))
		w, stored, err := seal.NewWriter(header, seal.Recipients{key.Recipient()})
		if err != nil {
			t.Fatal(err)
		}
		open := opener(t, stored, key)
		of := use{key: sha256.Sum256(stored[1].Data)}
		burnt := ""
		for range steps {
			if random.IntN(40) == 0 { // a crash: what is stored is resumed
				if w, _, _, err = seal.ResumeWriter(bytes.NewReader(join(stored))); err != nil {
					t.Fatal(err)
				}
				burnt = "crash"
			}
			number := uint32(len(stored))
			rec, what, err := anything(w, random)
			switch {
			case err != nil && burnt == "":
				t.Fatalf("call %d: record %d: %v", seed, number, err)
			case err != nil:
				refused++
				continue
			case rec.Number != number:
				t.Fatalf("call %d: record %d has number %d", seed, number, rec.Number)
			}
			if parsed, err := seal.ParseRecord(rec.Data); err != nil {
				t.Fatal(err)
			} else if parsed.Sealed() {
				plain, err := open.Open(nil, parsed)
				if err != nil {
					t.Fatal(err)
				}
				of.number = number
				if before, was := seen[of]; !was {
					seen[of] = append(plain, rec.Data...)
				} else if retried++; !bytes.Equal(before, append(plain, rec.Data...)) {
					t.Fatalf("call %d: number %d was sealed with %q and with %q", seed, number, before, plain)
				}
			}
			if random.IntN(3) == 0 {
				w.Retract() // not stored
				if burnt != "crash" {
					burnt = what
				}
				continue
			}
			stored = append(stored, rec)
			if rec.Kind == call.KindEnd {
				break
			}
			if burnt != "crash" {
				burnt = ""
			}
		}
		if c, err := seal.Verify(bytes.NewReader(join(stored)), seal.Keys{key}); c.Records != uint32(len(stored)) {
			t.Fatalf("call %d: %d records stored: %+v, %v", seed, len(stored), c, err)
		}
	}
	if len(seen) < 1000 || retried < 100 || refused < 100 {
		t.Errorf("%d numbers, %d of them again, %d refused: too few to tell anything", len(seen), retried, refused)
	}
}

// anything makes a record; few enough different ones that the same comes again. Chunks all begin at 0 and cover nothing.
func anything(w *seal.Writer, random *rand.Rand) (rec call.Record, what string, err error) {
	n := random.IntN(3)
	switch what = fmt.Sprint(n); random.IntN(30) {
	case 0:
		rec, err = w.End(call.End{})
	case 1, 2, 3, 4:
		rec, err = w.Mark(call.Mark{Kind: call.MarkGap, Position: int64(n), Frames: 1})
	case 5, 6, 7, 8, 9, 10:
		rec, err = w.Mark(call.Mark{Kind: call.MarkDigits, Position: int64(n), Value: what})
	default:
		rec, err = w.Chunk(0, 0, []byte(what))
	}
	return rec, what, err
}

func opener(t *testing.T, first []call.Record, key seal.Key) *seal.Opener {
	t.Helper()
	h, err := seal.ParseRecord(first[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	k, err := seal.ParseRecord(first[1].Data)
	if err != nil {
		t.Fatal(err)
	}
	o, err := seal.Keys{key}.Unlock(h, k)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestRetractSealed: the same record again gives the same bytes; another is refused; an end or a gap may take its place.
func TestRetractSealed(t *testing.T) {
	key := newKey(t)
	w, stored, err := seal.NewWriter(header, seal.Recipients{key.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.Chunk(0, 8000, []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	w.Retract()
	size, hash, chain := w.Size(), w.SHA256(), w.Chain()
	for name, another := range map[string]func() (call.Record, error){
		"other media":  func() (call.Record, error) { return w.Chunk(0, 8000, []byte("two")) },
		"other frames": func() (call.Record, error) { return w.Chunk(0, 8001, []byte("one")) },
		"a mark":       func() (call.Record, error) { return w.Mark(mark) },
	} {
		if rec, err := another(); err == nil || rec.Data != nil || w.Size() != size || w.SHA256() != hash || w.Chain() != chain {
			t.Errorf("%s: %v", name, err)
		}
	}
	again, err := w.Chunk(0, 8000, []byte("one"))
	if err != nil || !bytes.Equal(again.Data, first.Data) {
		t.Errorf("the same again: %v", err)
	}
	w.Retract()
	if _, err := w.Mark(gapMark); err != nil {
		t.Fatal(err)
	}
	w.Retract() // of what is not sealed the nonce was not used, but the one of before was
	if _, err := w.Chunk(0, 8000, []byte("two")); err == nil {
		t.Error("a gap between made another chunk possible")
	}
	inPlace, err := w.Mark(gapMark)
	if err != nil {
		t.Fatal(err)
	}
	two, err := w.Chunk(0, 8000, []byte("two"))
	if err != nil {
		t.Fatal(err)
	}
	end, err := w.End(call.End{Frames: 8000})
	if err != nil {
		t.Fatal(err)
	}
	c, err := seal.Verify(bytes.NewReader(join(append(stored, inPlace, two, end))), seal.Keys{key})
	if err != nil || c.SHA256 != w.SHA256() || c.Chain != w.Chain() {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestKeysDiffer: no two calls share a key, even where their headers are the same.
func TestKeysDiffer(t *testing.T) {
	key := newKey(t)
	sealed := map[string]bool{}
	for range 50 {
		w, _, err := seal.NewWriter(header, seal.Recipients{key.Recipient()})
		if err != nil {
			t.Fatal(err)
		}
		rec, err := w.Chunk(0, 1, []byte("the same sixteen bytes and more"))
		if err != nil {
			t.Fatal(err)
		}
		sealed[string(rec.Data)] = true
	}
	if len(sealed) != 50 {
		t.Errorf("of 50 calls %d chunks differ", len(sealed))
	}
}
