package ledger_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
)

var (
	start  = ledger.State{Device: "0123ABCD", Epoch: 7}
	id     = call.ID{1}
	anchor = call.Anchor{BootID: "b", BootTime: time.Second, Wall: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), Grade: call.GradeRTC}
	hash   = strings.Repeat("0f", 32)
)

func manifest() *call.Manifest {
	return &call.Manifest{
		Began: call.BeganVoice, Ended: call.EndedSilence, Anchor: anchor, Duration: 1.5, Frames: 12000, Rate: 8000,
		Codec: call.Opus, Channels: 1, Gaps: []call.Gap{{Position: 1, Frames: 2, Cause: call.CauseOverrun}},
		Size: 1000, SHA256: hash, Software: "1",
	}
}

func entries() []call.Entry {
	return []call.Entry{
		{Type: call.EntryEpoch, Anchor: anchor, LastEnd: &call.Seq{Epoch: 3, Number: 9}},
		{Type: call.EntryBegin, Anchor: anchor, Call: &id, Line: "1", Reason: call.BeganVoice},
		{Type: call.EntryEnd, Anchor: anchor, Call: &id, Line: "1", Manifest: manifest()},
		{Type: call.EntryGap, Anchor: anchor, Line: "1", Gap: &call.Gap{Position: 5, Frames: 6, Cause: call.CauseCardLost}},
		{Type: call.EntryTombstone, Anchor: anchor, Call: &id, Reason: "overwritten"},
	}
}

// run adds all of entries to a new ledger.
func run(t testing.TB) (jws [][]byte, l *ledger.Ledger) {
	t.Helper()
	l = ledger.New(start)
	for _, e := range entries() {
		_, err := l.Add(e, func(_ uint64, b []byte) error {
			jws = append(jws, b)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return jws, l
}

func TestAddAndParse(t *testing.T) {
	jws, l := run(t)
	previous := ""
	for i, want := range entries() {
		want.Device, want.Epoch, want.Number, want.Previous = start.Device, start.Epoch, uint64(i+1), previous
		got, err := ledger.Parse(jws[i])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
		}
		previous = ledger.Hash(jws[i])
	}
	if s := l.State(); s != (ledger.State{Device: start.Device, Epoch: start.Epoch, Next: 6, Previous: previous}) {
		t.Errorf("state %+v", s)
	}
}

// TestVector holds the form to what docs/format-ledger.md says.
func TestVector(t *testing.T) {
	var jws []byte
	e := call.Entry{Type: call.EntryBegin, Anchor: anchor, Call: &id, Line: "1", Reason: call.BeganVoice}
	if _, err := ledger.New(start).Add(e, func(_ uint64, b []byte) error { jws = b; return nil }); err != nil {
		t.Fatal(err)
	}
	payload := `{"v":0,"type":"begin","device":"0123ABCD","epoch":"000000000000E","number":1,` +
		`"at":{"boot":"b","boot_time":1000000000,"wall":"2026-05-01T12:00:00Z","grade":"rtc"},` +
		`"call":"04000000000000000000000000","line":"1","reason":"voice"}`
	want := "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "."
	if string(jws) != want {
		t.Errorf("got  %s\nwant %s", jws, want)
	}
}

func TestNumberIsTakenOnlyByWhatIsStored(t *testing.T) {
	l := ledger.New(start)
	full := errors.New("full")
	e := entries()[1]
	for range 3 {
		if _, err := l.Add(e, func(uint64, []byte) error { return full }); !errors.Is(err, full) {
			t.Fatal(err)
		}
	}
	if _, err := l.Add(call.Entry{Type: "nonsense"}, func(uint64, []byte) error { t.Error("stored"); return nil }); err == nil {
		t.Error("an entry of no known type was added")
	}
	huge := e
	huge.Line = strings.Repeat("x", ledger.MaxEntry)
	if _, err := l.Add(huge, func(uint64, []byte) error { t.Error("stored"); return nil }); err == nil {
		t.Error("a huge entry was added")
	}
	got, err := l.Add(e, func(n uint64, _ []byte) error {
		if n != 1 {
			t.Errorf("stored as %d", n)
		}
		return nil
	})
	if err != nil || got.Number != 1 || got.Previous != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestConcurrentAddsAreGapless(t *testing.T) {
	l := ledger.New(start)
	var jws [][]byte // guarded by the ledger: it stores one at a time
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, err := l.Add(entries()[1], func(_ uint64, b []byte) error { jws = append(jws, b); return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	checked, err := ledger.Check(&ledger.Link{Device: start.Device, Epoch: start.Epoch}, jws...)
	if err != nil || len(checked) != 400 {
		t.Errorf("%d entries, %v", len(checked), err)
	}
}

func TestCheck(t *testing.T) {
	jws, _ := run(t)
	beginning := &ledger.Link{Device: start.Device, Epoch: start.Epoch}
	all, err := ledger.Check(beginning, jws...)
	if err != nil || len(all) != 5 || !bytes.Equal(all[4].JWS, jws[4]) || all[4].Number != 5 {
		t.Fatalf("%+v, %v", all, err)
	}
	third := ledger.LinkOf(all[2])
	if rest, err := ledger.Check(&third, jws[3:]...); err != nil || len(rest) != 2 {
		t.Errorf("%+v, %v", rest, err)
	}
	if rest, err := ledger.Check(nil, jws[2:]...); err != nil || len(rest) != 3 {
		t.Errorf("from anywhere: %+v, %v", rest, err)
	}

	other := func(change func(*call.Entry)) []byte {
		e := all[3].Entry
		change(&e)
		return raw(t, e)
	}
	for name, c := range map[string]struct {
		run    [][]byte
		good   int
		reason string
	}{
		"missing":       {[][]byte{jws[0], jws[1], jws[3]}, 2, "entry 4: follows entry 2"},
		"doubled":       {[][]byte{jws[0], jws[1], jws[1]}, 2, "entry 2: follows entry 2"},
		"late":          {jws[1:], 0, "entry 2: follows entry 0"},
		"other chain":   {[][]byte{jws[0], jws[1], jws[2], other(func(e *call.Entry) { e.Previous = hash })}, 3, "another entry 3"},
		"other device":  {[][]byte{jws[0], jws[1], jws[2], other(func(e *call.Entry) { e.Device = "ZZZZZZZZ" })}, 3, "of device"},
		"other epoch":   {[][]byte{jws[0], jws[1], jws[2], other(func(e *call.Entry) { e.Epoch = 8 })}, 3, "of epoch"},
		"altered":       {[][]byte{jws[0], other(func(e *call.Entry) { e.Number, e.Previous = 2, ledger.Hash(jws[0]) }), jws[2]}, 2, "another entry 2"},
		"first altered": {[][]byte{other(func(e *call.Entry) { e.Number, e.Previous = 1, "" }), jws[1]}, 1, "another entry 1"},
	} {
		t.Run(name, func(t *testing.T) {
			good, err := ledger.Check(beginning, c.run...)
			var chain *ledger.ChainError
			if !errors.As(err, &chain) || !strings.Contains(err.Error(), c.reason) || len(good) != c.good {
				t.Errorf("%d good, %v; want %d, %q", len(good), err, c.good, c.reason)
			}
		})
	}
	if good, err := ledger.Check(beginning, jws[0], []byte("x")); err == nil || len(good) != 1 {
		t.Errorf("%d good, %v", len(good), err)
	}
}

// raw is a JWS of any payload.
func raw(t testing.TB, payload any) []byte {
	t.Helper()
	b, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	return []byte("eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(b) + ".")
}

func TestParseRefuses(t *testing.T) {
	jws, _ := run(t)
	good := string(jws[2])
	change := func(n int, f func(*call.Entry)) string {
		e, err := ledger.Parse(jws[n])
		if err != nil {
			t.Fatal(err)
		}
		f(&e)
		return string(raw(t, e))
	}
	for name, c := range map[string]struct{ jws, reason string }{
		"empty":              {"", "three parts"},
		"two parts":          {strings.TrimSuffix(good, "."), "three parts"},
		"four parts":         {good + ".", "three parts"},
		"signed":             {good + "AAAA", "unsecured"},
		"other header":       {strings.Replace(good, "eyJhbGciOiJub25lIn0", "eyJhbGciOiJFZERTQSJ9", 1), "unsecured"},
		"padded":             {strings.TrimSuffix(good, ".") + "=.", "payload"},
		"line break":         {good[:40] + "\n" + good[40:], "line breaks"},
		"loose bits":         {"eyJhbGciOiJub25lIn0.e31.", "payload"},
		"not JSON":           {"eyJhbGciOiJub25lIn0.e30e.", "payload"},
		"huge":               {good + strings.Repeat("A", ledger.MaxEntry), "at most"},
		"version":            {change(1, func(e *call.Entry) { e.Version = 1 }), "version 1"},
		"device":             {change(1, func(e *call.Entry) { e.Device = "x" }), "device ID"},
		"number 0":           {change(1, func(e *call.Entry) { e.Number = 0 }), "number 0"},
		"first with prev":    {change(1, func(e *call.Entry) { e.Number = 1 }), "before it"},
		"no prev":            {change(1, func(e *call.Entry) { e.Previous = "" }), "prev"},
		"upper-case prev":    {change(1, func(e *call.Entry) { e.Previous = strings.ToUpper(e.Previous) }), "prev"},
		"unknown type":       {change(1, func(e *call.Entry) { e.Type = "party" }), "not known"},
		"begin of no call":   {change(1, func(e *call.Entry) { e.Call = nil }), "no call"},
		"begin of call zero": {change(1, func(e *call.Entry) { e.Call = &call.ID{} }), "no call"},
		"begin of no line":   {change(1, func(e *call.Entry) { e.Line = "" }), "no line"},
		"tombstone, no call": {change(4, func(e *call.Entry) { e.Call = nil }), "no call"},
		"end, no manifest":   {change(2, func(e *call.Entry) { e.Manifest = nil }), "without a manifest"},
		"end, no call":       {change(2, func(e *call.Entry) { e.Call = nil }), "no call"},
		"manifest hash":      {change(2, func(e *call.Entry) { e.Manifest.SHA256 = "00" }), "sha256"},
		"manifest size":      {change(2, func(e *call.Entry) { e.Manifest.Size = 0 }), "0 bytes"},
		"manifest rate":      {change(2, func(e *call.Entry) { e.Manifest.Rate = 0 }), "0 Hz"},
		"manifest gap":       {change(2, func(e *call.Entry) { e.Manifest.Gaps[0].Frames = 0 }), "gap of 0"},
		"gap without gap":    {change(3, func(e *call.Entry) { e.Gap = nil }), "without a gap"},
		"gap, negative":      {change(3, func(e *call.Entry) { e.Gap.Position = -1 }), "frame -1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ledger.Parse([]byte(c.jws)); err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %v, want %q", err, c.reason)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	jws, _ := run(f)
	for _, j := range jws {
		f.Add(j)
	}
	f.Fuzz(func(t *testing.T, jws []byte) {
		e, err := ledger.Parse(jws)
		if err != nil {
			return
		}
		again, err := ledger.Parse(raw(t, e))
		if err != nil || fmt.Sprintf("%+v", again.Anchor) != fmt.Sprintf("%+v", e.Anchor) || again.Number != e.Number || again.Type != e.Type {
			t.Errorf("read %+v, written and read again %+v, %v", e, again, err)
		}
		if _, err := ledger.Check(nil, jws); err != nil {
			t.Errorf("alone in a run: %v", err)
		}
	})
}
