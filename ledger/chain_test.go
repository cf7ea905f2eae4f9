package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
)

func decode(t testing.TB, s []byte) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(string(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var beginning = &ledger.Link{Device: start.Device, Epoch: start.Epoch}

func TestCheck(t *testing.T) {
	jws, _ := run(t, entries()[:5]...)
	all, err := ledger.Check(beginning, pub, jws...)
	if err != nil || len(all) != 5 || !bytes.Equal(all[4].JWS, jws[4]) || all[4].Number != 5 {
		t.Fatalf("%+v, %v", all, err)
	}
	third := ledger.LinkOf(all[2])
	if rest, err := ledger.Check(&third, pub, jws[3:]...); err != nil || len(rest) != 2 {
		t.Errorf("%+v, %v", rest, err)
	}
	if rest, err := ledger.Check(nil, pub, jws[2:]...); err != nil || len(rest) != 3 {
		t.Errorf("from anywhere: %+v, %v", rest, err)
	}

	otherwise := func(n int, change func(*call.Entry)) []byte {
		e := all[n-1].Entry
		change(&e)
		return raw(t, key, e)
	}
	for name, c := range map[string]struct {
		run    [][]byte
		good   int
		reason string
	}{
		"missing":       {[][]byte{jws[0], jws[1], jws[3]}, 2, "entry 4: follows entry 2"},
		"doubled":       {[][]byte{jws[0], jws[1], jws[1]}, 2, "entry 2: follows entry 2"},
		"swapped":       {[][]byte{jws[0], jws[2], jws[1]}, 1, "entry 3: follows entry 1"},
		"late":          {jws[1:], 0, "entry 2: follows entry 0"},
		"other chain":   {[][]byte{jws[0], jws[1], jws[2], otherwise(4, func(e *call.Entry) { e.Previous = hash })}, 3, "another entry 3"},
		"other epoch":   {[][]byte{jws[0], jws[1], jws[2], otherwise(4, func(e *call.Entry) { e.Epoch = 8 })}, 3, "of epoch"},
		"altered":       {[][]byte{jws[0], otherwise(2, func(e *call.Entry) { e.Line = "2" }), jws[2]}, 2, "another entry 2"},
		"first altered": {[][]byte{otherwise(1, func(e *call.Entry) { e.LastEnd = nil }), jws[1]}, 1, "another entry 1"},
	} {
		t.Run(name, func(t *testing.T) {
			good, err := ledger.Check(beginning, pub, c.run...)
			var chain *ledger.ChainError
			if !errors.As(err, &chain) || !strings.Contains(err.Error(), c.reason) || len(good) != c.good {
				t.Errorf("%d good, %v; want %d, %q", len(good), err, c.good, c.reason)
			}
		})
	}
	if good, err := ledger.Check(beginning, pub, jws[0], []byte("x")); err == nil || len(good) != 1 {
		t.Errorf("%d good, %v", len(good), err)
	}
	forged := raw(t, other, all[1].Entry)
	if good, err := ledger.Check(beginning, pub, jws[0], forged); !errors.Is(err, ledger.ErrSignature) || len(good) != 1 {
		t.Errorf("forged: %d good, %v", len(good), err)
	}
	if good, err := ledger.Check(beginning, nil, jws[0], forged); err != nil || len(good) != 2 {
		t.Errorf("without a key: %d good, %v", len(good), err)
	}
	if _, err := ledger.Check(beginning, other.Public().(ed25519.PublicKey), jws[0]); !errors.Is(err, ledger.ErrSignature) {
		t.Errorf("with another's key: %v", err)
	}
	foreign := ledger.New(ledger.State{Device: call.DeviceIDOf(other.Public().(ed25519.PublicKey)), Epoch: 7, Next: 2, Previous: ledger.Hash(jws[0])}, other)
	if _, err := ledger.Check(beginning, nil, jws[0], add(t, foreign, entries()[1])); err == nil || !strings.Contains(err.Error(), "of device") {
		t.Errorf("another device: %v", err)
	}
}

// losing makes a ledger of ten begins and then what recovery adds.
func losing(t *testing.T, state func(ledger.State, [][]byte) ledger.State, added ...call.Entry) [][]byte {
	t.Helper()
	jws, l := run(t, slices.Repeat([]call.Entry{entries()[1]}, 10)...)
	l = ledger.New(state(l.State(), jws), key)
	for _, e := range added {
		jws = append(jws, add(t, l, e))
	}
	return jws
}

func theLoss(first, last uint64) call.Entry {
	return call.Entry{Type: call.EntryLost, Anchor: anchor, Lost: &call.Lost{First: first, Last: last}}
}

func TestLost(t *testing.T) {
	same := func(s ledger.State, _ [][]byte) ledger.State { return s }
	behind := func(n int) func(ledger.State, [][]byte) ledger.State { // n can be read
		return func(s ledger.State, jws [][]byte) ledger.State {
			s.Previous = ""
			if n > 0 {
				s.Previous = ledger.Hash(jws[n-1])
			}
			return s
		}
	}
	for name, c := range map[string]struct {
		jws  [][]byte
		gone []uint64 // numbers of the entries that are not there
		want []ledger.Break
	}{
		"in the middle":           {losing(t, same, theLoss(4, 6)), []uint64{4, 5, 6}, nil},
		"in two steps":            {losing(t, same, theLoss(5, 6), theLoss(4, 4)), []uint64{4, 5, 6}, nil},
		"at two places":           {losing(t, same, theLoss(2, 8)), []uint64{2, 7, 8}, nil},
		"at the end":              {losing(t, behind(7), theLoss(8, 10)), []uint64{8, 9, 10}, nil},
		"at the end, and here":    {losing(t, behind(7), theLoss(8, 10)), nil, nil},
		"the beginning":           {losing(t, same, theLoss(1, 3)), []uint64{1, 2, 3}, nil},
		"all of it":               {losing(t, behind(0), theLoss(1, 10)), []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, nil},
		"all of it, and here":     {losing(t, behind(0), theLoss(1, 10)), nil, nil},
		"the loss was lost":       {losing(t, same, theLoss(4, 6), entries()[1], theLoss(4, 6), theLoss(11, 11)), []uint64{4, 5, 6, 11}, nil},
		"fewer than are missing":  {losing(t, same, theLoss(5, 5)), []uint64{4, 5, 6}, []ledger.Break{{Number: 7, First: 4, Last: 4}, {Number: 7, First: 6, Last: 6}}},
		"others than are missing": {losing(t, same, theLoss(7, 9)), []uint64{4, 5}, []ledger.Break{{Number: 6, First: 4, Last: 5}}},
		"nobody says":             {losing(t, same), []uint64{4}, []ledger.Break{{Number: 5, First: 4, Last: 4}}},
		"replaced, nobody says":   {losing(t, behind(8), entries()[1]), nil, []ledger.Break{{Number: 11, First: 10, Last: 10, Replaced: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			chain := ledger.NewChain(beginning, pub)
			var kept [][]byte
			for i, jws := range c.jws {
				if slices.Contains(c.gone, uint64(i+1)) {
					continue
				}
				kept = append(kept, jws)
				if _, err := chain.Add(jws); err != nil {
					t.Fatal(err)
				}
			}
			if got := chain.Breaks(); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if last, ok := chain.Last(); !ok || last.Number != uint64(len(c.jws)) {
				t.Errorf("stands at %+v", last)
			}
			entries, err := ledger.Check(beginning, pub, kept...)
			if (err == nil) != (c.want == nil) {
				t.Error(err)
			}
			if c.want != nil && entries[len(entries)-1].Number >= c.want[0].Number {
				t.Errorf("%d entries before the break", len(entries))
			}
		})
	}
}

func TestChainStaysWhereItWas(t *testing.T) {
	jws, _ := run(t, entries()...)
	chain := ledger.NewChain(nil, pub)
	if _, ok := chain.Last(); ok {
		t.Error("stands somewhere")
	}
	for _, wrong := range [][]byte{nil, jws[1], []byte("x"), jws[0], raw(t, other, entries()[1])} {
		_, err := chain.Add(wrong)
		if _, err2 := chain.Add(jws[1]); err2 == nil {
			continue // the first time
		}
		if err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
	for _, j := range jws[2:] {
		if _, err := chain.Add(j); err != nil {
			t.Error(err)
		}
	}
}

func TestChainIsBounded(t *testing.T) {
	e, _ := ledger.Parse(mustRun(t))
	chain := ledger.NewChain(beginning, nil)
	for n := uint64(2); ; n += 2 {
		e.Number, e.Previous = n, hash
		if _, err := chain.Add(raw(t, key, e)); err != nil {
			if n != 2*4097 {
				t.Errorf("at entry %d: %v", n, err)
			}
			return
		}
	}
}

func mustRun(t *testing.T) []byte {
	jws, _ := run(t, entries()[:2]...)
	return jws[1]
}

func TestLines(t *testing.T) {
	jws, _ := run(t, entries()...)
	text := bytes.Join(jws, []byte("\n"))
	for name, file := range map[string][]byte{"plain": append(text, '\n'), "no end of line": text, "carriage returns": bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))} {
		var got [][]byte
		for line, err := range ledger.Lines(bytes.NewReader(file)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, line.JWS)
			if !bytes.HasPrefix(file[line.Offset:], line.JWS) {
				t.Errorf("%s: no line at byte %d", name, line.Offset)
			}
		}
		if !reflect.DeepEqual(got, jws) {
			t.Errorf("%s: %d lines", name, len(got))
		}
	}
	var last error
	for _, last = range ledger.Lines(strings.NewReader("x\n" + strings.Repeat("y", 1<<20))) {
	}
	if last == nil || !strings.Contains(last.Error(), "at byte 2") {
		t.Errorf("a long line: %v", last)
	}
	for range ledger.Lines(bytes.NewReader(text)) {
		break
	}
}

// BenchmarkYear checks a year of an office of 200 calls a day, signatures and all, and reports what is held then.
func BenchmarkYear(b *testing.B) {
	const year = 365 * 200 * 2
	jws, l := run(b, entries()[:1]...)
	list := entries()[1:3]
	var before, after runtime.MemStats
	for b.Loop() {
		b.StopTimer()
		chain, from := ledger.NewChain(nil, pub), ledger.New(l.State(), key)
		if _, err := chain.Add(jws[0]); err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&before)
		for n := range year {
			j := add(b, from, list[n%2])
			b.StartTimer()
			_, err := chain.Add(j)
			b.StopTimer()
			if err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.StartTimer()
		runtime.KeepAlive(chain)
	}
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)), "bytes-held")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*year), "µs/entry")
}

func FuzzChain(f *testing.F) {
	jws, _ := run(f, append(entries(), theLoss(1, 3), theLoss(5, 11))...)
	f.Add([]byte{0, 1, 2, 3, 4})
	f.Add([]byte{0, 4, 5, 11, 12})
	f.Add([]byte{3, 2, 2, 200})
	f.Fuzz(func(t *testing.T, order []byte) {
		chain := ledger.NewChain(beginning, nil)
		var covered, seen []uint64
		for _, n := range order {
			e, err := chain.Add(jws[int(n)%len(jws)])
			if err != nil {
				continue
			}
			seen = append(seen, e.Number)
			if e.Lost != nil {
				for x := e.Lost.First; x <= e.Lost.Last; x++ {
					covered = append(covered, x)
				}
			}
		}
		missing := map[uint64]bool{}
		for _, b := range chain.Breaks() {
			for x := b.First; x <= b.Last; x++ {
				missing[x] = true
			}
		}
		last, _ := chain.Last()
		for x := uint64(1); x < last.Number; x++ {
			if want := !slices.Contains(seen, x) && !slices.Contains(covered, x); missing[x] != want {
				t.Errorf("%v: entry %d missing: %v, want %v", order, x, missing[x], want)
			}
		}
	})
}
