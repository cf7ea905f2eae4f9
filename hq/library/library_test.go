package library

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	north = call.DeviceID("N0RTH000")
	south = call.DeviceID("S0VTH000")
)

var key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// open gives a library with two recorders.
func open(t testing.TB) *Library {
	t.Helper()
	l, err := Open(filepath.Join(t.TempDir(), "odd ?name#%.db"), func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	must(t, l.SaveRecorder(t.Context(), hq.Recorder{Device: north, Key: key, Site: "Northam Ärzte"}))
	must(t, l.SaveRecorder(t.Context(), hq.Recorder{Device: south, Key: key, Site: "Southville"}))
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// entry makes a begin entry; its JWS is not one, which is nothing to the library.
func entry(device call.DeviceID, epoch call.Epoch, number uint64, id call.ID, line string, at time.Time) call.SignedEntry {
	return call.SignedEntry{
		Entry: call.Entry{Type: call.EntryBegin, Device: device, Epoch: epoch, Number: number, Call: &id, Line: line,
			Reason: call.BeganVoice, Anchor: call.Anchor{Wall: at, Grade: call.GradeNTP}},
		JWS: fmt.Appendf(nil, "%s %s %d %s", device, epoch, number, id),
	}
}

func endEntry(begin call.SignedEntry, number uint64, m call.Manifest) call.SignedEntry {
	e := begin
	e.Type, e.Number, e.Manifest, e.JWS = call.EntryEnd, number, &m, fmt.Appendf(nil, "end %d", number)
	return e
}

func TestLedgersAreReadInPages(t *testing.T) {
	l, ctx := open(t), t.Context()
	for n := range uint64(7) {
		must(t, l.AddEntries(ctx, []call.SignedEntry{entry(north, 7, n+1, call.NewID(), "1", noon)}))
	}
	must(t, l.AddEntries(ctx, []call.SignedEntry{entry(south, 9, 1, call.NewID(), "1", noon)}))
	list, err := l.Ledgers(ctx)
	if want := []hq.Ledger{{Device: north, Epoch: 7}, {Device: south, Epoch: 9}}; err != nil || !slices.Equal(list, want) {
		t.Fatalf("ledgers %v, %v", list, err)
	}
	var pages []int
	for from := uint64(2); from != 0; {
		page, next, err := l.EntriesFrom(ctx, list[0], from, 4)
		must(t, err)
		if want := fmt.Sprintf("%s %s %d ", north, list[0].Epoch, from); !strings.HasPrefix(string(page[0]), want) {
			t.Errorf("the page from %d begins with %q", from, page[0])
		}
		pages, from = append(pages, len(page)), next
	}
	if !slices.Equal(pages, []int{4, 2}) {
		t.Errorf("pages of %d", pages)
	}
}

// What a recorder's recovery says is lost will not come: what stands behind it is not waited for any longer. What has been
// amended is expected as it is now.
func TestLossesAndAmendments(t *testing.T) {
	l, ctx := open(t), t.Context()
	id := call.NewID()
	begun := entry(north, 7, 1, id, "1", noon)
	manifest := call.Manifest{Ended: call.EndedSilence, Duration: 1, Frames: 8000, Rate: 8000, Codec: call.Opus, Channels: 1, Size: 10, SHA256: strings.Repeat("ab", 32)}
	must(t, l.AddEntries(ctx, []call.SignedEntry{begun, endEntry(begun, 2, manifest)}))
	must(t, l.AddEntries(ctx, []call.SignedEntry{entry(north, 7, 6, call.NewID(), "1", noon)}))
	lost := entry(north, 7, 7, id, "1", noon)
	lost.Type, lost.Call, lost.Lost = call.EntryLost, nil, &call.Lost{First: 3, Last: 5}
	amended := entry(north, 7, 8, id, "1", noon)
	amended.Type, amended.Amendment = call.EntryAmendment, &call.Amendment{Was: manifest.SHA256, Size: 10, SHA256: strings.Repeat("cd", 32)}
	if n, err := l.Gapless(ctx, north, 7); err != nil || n != 2 {
		t.Errorf("before: gapless up to %d, %v", n, err)
	}
	must(t, l.AddEntries(ctx, []call.SignedEntry{lost, amended}))
	if n, err := l.Gapless(ctx, north, 7); err != nil || n != 8 {
		t.Errorf("gapless up to %d, %v, want 8", n, err)
	}
	if c, err := l.Call(ctx, id); err != nil || c.SHA256 != amended.Amendment.SHA256 || c.Stage != hq.StageEnded {
		t.Errorf("the amended call: %+v, %v", c, err)
	}
}

func TestACallIsPutTogetherInAnyOrder(t *testing.T) {
	id := call.NewID()
	begun := entry(north, 7, 3, id, "Front desk", noon)
	manifest := call.Manifest{Began: call.BeganVoice, Ended: call.EndedSilence, Anchor: call.Anchor{Wall: noon.Add(-2 * time.Second), Grade: call.GradeNTP},
		Duration: 12.5, Frames: 100000, Rate: 8000, Codec: call.Opus, Channels: 2, Gaps: []call.Gap{{Position: 5, Frames: 6, Cause: "overrun"}},
		Short: true, Size: 4711, SHA256: strings.Repeat("ab", 32)}
	arrival := hq.Arrival{
		Header: call.Header{Call: id, Device: north, Epoch: 7, Number: 3, Began: call.BeganVoice, Line: "Front desk", Codec: call.Opus, Channels: 2,
			Sides: []string{"agent", "caller"}, Rate: 8000, Anchor: manifest.Anchor},
		End:  &call.End{Reason: call.EndedSilence, Frames: 100000, Gaps: manifest.Gaps, Short: true},
		Size: manifest.Size, SHA256: manifest.SHA256, Via: "https", Received: noon.Add(time.Minute), Receipt: "a.b.c",
	}
	steps := map[string]func(*Library) error{
		"begin": func(l *Library) error { return l.AddEntries(t.Context(), []call.SignedEntry{begun}) },
		"end": func(l *Library) error {
			return l.AddEntries(t.Context(), []call.SignedEntry{endEntry(begun, 4, manifest)})
		},
		"file": func(l *Library) error { return l.Complete(t.Context(), arrival) },
	}
	want := hq.Call{ID: id, Device: north, Site: "Northam Ärzte", Line: "Front desk", Number: 3, Stage: hq.StageDurable,
		Began: manifest.Anchor.Wall, Grade: call.GradeNTP, Believed: manifest.Anchor.Wall, BelievedGrade: call.GradeNTP, Duration: 12500 * time.Millisecond, BeganBy: call.BeganVoice, EndedBy: call.EndedSilence,
		Codec: call.Opus, Channels: 2, Sides: []string{"agent", "caller"}, Rate: 8000, Gaps: manifest.Gaps, Short: true, Size: 4711,
		SHA256: manifest.SHA256, Received: noon.Add(time.Minute), Via: "https"}
	for _, order := range [][]string{{"begin", "end", "file"}, {"file", "begin", "end"}, {"begin", "file", "end"}, {"end", "file", "begin"}} {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			l := open(t)
			for _, step := range order {
				must(t, steps[step](l))
			}
			got, err := l.Call(t.Context(), id)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("got  %+v (%v)\nwant %+v", got, err, want)
			}
			if jws, err := l.Receipt(t.Context(), id); err != nil || jws != "a.b.c" {
				t.Errorf("receipt %q, %v", jws, err)
			}
			if list, err := l.Receipts(t.Context(), north, []call.ID{call.NewID(), id}); err != nil || !slices.Equal(list, []string{"a.b.c"}) {
				t.Errorf("receipts %q, %v", list, err)
			}
			if list, err := l.Receipts(t.Context(), south, []call.ID{id}); err != nil || len(list) > 0 {
				t.Errorf("another recorder is given the receipts %q, %v", list, err)
			}
		})
	}
}

func TestEntriesHaveOneTruth(t *testing.T) {
	l, ctx := open(t), t.Context()
	id := call.NewID()
	run := []call.SignedEntry{entry(north, 7, 1, id, "1", noon), entry(north, 7, 2, call.NewID(), "1", noon), entry(north, 7, 4, call.NewID(), "1", noon)}
	must(t, l.AddEntries(ctx, run))
	must(t, l.AddEntries(ctx, run)) // again
	reached := func(want uint64) {
		t.Helper()
		if n, err := l.Gapless(ctx, north, 7); err != nil || n != want {
			t.Errorf("gapless up to %d (%v), want %d", n, err, want)
		}
	}
	reached(2)
	fresh := call.NewID()
	forged := []call.SignedEntry{entry(north, 7, 3, fresh, "1", noon), entry(north, 7, 2, fresh, "1", noon)}
	var conflict *ConflictError
	if err := l.AddEntries(ctx, forged); !errors.As(err, &conflict) || conflict.Number != 2 || !errors.Is(err, hq.ErrRefused) {
		t.Fatalf("other bytes under number 2: %v", err)
	}
	if _, err := l.Call(ctx, fresh); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("a part of a refused batch was kept: %v", err)
	}
	reached(2)
	must(t, l.AddEntries(ctx, []call.SignedEntry{entry(north, 7, 3, call.NewID(), "1", noon)}))
	reached(4)
	if n, err := l.Gapless(ctx, south, 7); err != nil || n != 0 {
		t.Errorf("another recorder's entries: %d, %v", n, err)
	}
	for name, e := range map[string]call.SignedEntry{
		"another's call":   entry(south, 9, 1, id, "1", noon),
		"unknown recorder": entry("ZZZZZZZZ", 9, 1, call.NewID(), "1", noon),
		"number 0":         entry(north, 9, 0, call.NewID(), "1", noon),
		"number too large": entry(north, 9, 1<<63, call.NewID(), "1", noon),
	} {
		if err := l.AddEntries(ctx, []call.SignedEntry{e}); !errors.Is(err, hq.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	odd := entry(north, 9, 1, call.NewID(), "1", time.Time{}) // a board without a clock
	must(t, l.AddEntries(ctx, []call.SignedEntry{odd}))
	if c, err := l.Call(ctx, *odd.Call); err != nil || c.Began.Year() != 1970 {
		t.Errorf("without a clock: %v, %v", c.Began, err)
	}
}

func TestListPagesAndSearches(t *testing.T) {
	l, ctx := open(t), t.Context()
	var all []hq.Call // oldest first
	for i := range 40 {
		device, line := north, "Front desk"
		if i%2 == 1 {
			device, line = south, fmt.Sprintf("Line %d", i%4)
		}
		e := entry(device, 7, uint64(i+1), call.NewID(), line, noon.Add(time.Duration(i/3)*time.Minute)) // with ties
		must(t, l.AddEntries(ctx, []call.SignedEntry{e}))
		c, err := l.Call(ctx, *e.Call)
		must(t, err)
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b hq.Call) int {
		if c := b.Began.Compare(a.Began); c != 0 {
			return c
		}
		return strings.Compare(b.ID.String(), a.ID.String())
	})
	some := all[17]
	for name, tc := range map[string]struct {
		query hq.Query
		want  func(hq.Call) bool
	}{
		"all":           {hq.Query{}, func(hq.Call) bool { return true }},
		"site":          {hq.Query{Site: "Southville"}, func(c hq.Call) bool { return c.Device == south }},
		"site and line": {hq.Query{Site: "Southville", Line: "Line 3"}, func(c hq.Call) bool { return c.Line == "Line 3" }},
		"span": {hq.Query{From: noon.Add(2 * time.Minute), To: noon.Add(5 * time.Minute)}, func(c hq.Call) bool {
			return !c.Began.Before(noon.Add(2*time.Minute)) && c.Began.Before(noon.Add(5*time.Minute))
		}},
		"words":             {hq.Query{Text: "desk NORTH"}, func(c hq.Call) bool { return c.Device == north }},
		"beyond ASCII":      {hq.Query{Text: "äRZTE"}, func(c hq.Call) bool { return c.Device == north }},
		"device":            {hq.Query{Text: "s0vth"}, func(c hq.Call) bool { return c.Device == south }},
		"call ID":           {hq.Query{Text: some.ID.String()}, func(c hq.Call) bool { return c.ID == some.ID }},
		"part of a call ID": {hq.Query{Text: " " + strings.ToLower(some.ID.String()[:9])}, func(c hq.Call) bool { return c.ID == some.ID }},
		"call ID elsewhere": {hq.Query{Text: some.ID.String(), Site: "Nowhere"}, func(hq.Call) bool { return false }},
		"nothing":           {hq.Query{Text: "desk south"}, func(hq.Call) bool { return false }},
		"hostile":           {hq.Query{Text: `%' OR 1=1 --"`}, func(hq.Call) bool { return false }},
		"line and span":     {hq.Query{Text: "front", From: noon.Add(2 * time.Minute)}, func(c hq.Call) bool { return c.Device == north && !c.Began.Before(noon.Add(2*time.Minute)) }},
	} {
		for _, limit := range []int{1, 7, 50} {
			t.Run(fmt.Sprintf("%s by %d", name, limit), func(t *testing.T) {
				var want, got []string
				for _, c := range all {
					if tc.want(c) {
						want = append(want, c.ID.String())
					}
				}
				q := tc.query
				for q.Limit = limit; ; {
					page, next, err := l.Calls(ctx, q)
					must(t, err)
					if len(page) > limit || next != nil && len(page) != limit {
						t.Fatalf("page of %d", len(page))
					}
					for _, c := range page {
						got = append(got, c.ID.String())
					}
					if q.Before = next; next == nil {
						break
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("got %d: %v\nwant %d: %v", len(got), got, len(want), want)
				}
			})
		}
	}
}

func TestARecorderThatMovesLeavesItsCallsWhereTheyWere(t *testing.T) {
	l, ctx := open(t), t.Context()
	before, after := entry(north, 1, 1, call.NewID(), "1", noon), entry(north, 1, 2, call.NewID(), "1", noon)
	must(t, l.AddEntries(ctx, []call.SignedEntry{before}))
	must(t, l.SaveRecorder(ctx, hq.Recorder{Device: north, Key: key, Site: "Harbour"}))
	must(t, l.AddEntries(ctx, []call.SignedEntry{after}))
	a, err := l.Call(ctx, *before.Call)
	must(t, err)
	b, err := l.Call(ctx, *after.Call)
	must(t, err)
	if a.Site != "Northam Ärzte" || b.Site != "Harbour" {
		t.Errorf("sites %q, %q", a.Site, b.Site)
	}
}

func TestRecordersAndStatus(t *testing.T) {
	l, ctx := open(t), t.Context()
	if _, err := l.Recorder(ctx, "ZZZZZZZZ"); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("unknown recorder: %v", err)
	}
	must(t, l.SaveStatus(ctx, south, "mqtt", wire.OfflineStatus(south))) // a last will before the first word
	must(t, l.SaveStatus(ctx, north, "https", wire.Status{Device: north, Online: true, Software: "1.2", State: call.StateIdle}))
	must(t, l.Saw(ctx, north, "mqtt"))
	must(t, l.SaveStatus(ctx, north, "mqtt", wire.OfflineStatus(north)))
	list, err := l.Recorders(ctx)
	must(t, err)
	if len(list) != 2 || list[0].Device != north || list[1].Device != south {
		t.Fatalf("recorders %+v", list)
	}
	n, s := list[0], list[1]
	if n.Status == nil || n.Status.Online || n.Status.Software != "1.2" || !n.Seen.Equal(noon) || n.Via != "mqtt" {
		t.Errorf("after its last will: %+v, %+v", n, n.Status)
	}
	if s.Status == nil || s.Status.Online || s.Status.Device != south || !s.Seen.IsZero() {
		t.Errorf("last will only: %+v, %+v", s, s.Status)
	}
}

func TestHealth(t *testing.T) {
	l, ctx := open(t), t.Context()
	line := func(n int) wire.Health {
		return wire.Health{Number: uint64(n), Time: noon.Add(time.Duration(n) * time.Hour), Boots: int64(n)}
	}
	say := func(lines ...wire.Health) {
		t.Helper()
		must(t, l.SaveStatus(ctx, north, "https", wire.Status{Device: north, Online: true, State: call.StateIdle, HealthLog: lines}))
	}
	if n, err := l.LastHealth(ctx, north); n != 0 || err != nil {
		t.Errorf("before any: %d, %v", n, err)
	}
	say(line(1), line(2))
	say(line(2), line(3)) // an answer was lost
	got, err := l.Health(ctx, north, 10)
	if err != nil || len(got) != 3 || got[0] != line(3) || got[2] != line(1) {
		t.Errorf("%+v, %v", got, err)
	}
	another := line(1) // of a new card, whose log begins anew
	another.Time = noon.Add(100 * time.Hour)
	say(another)
	if n, err := l.LastHealth(ctx, north); n != 1 || err != nil {
		t.Errorf("of the new card: %d, %v", n, err)
	}
	for n := 2; n < keepHealth+50; n += wire.MaxHealth {
		var lines []wire.Health
		for i := range wire.MaxHealth {
			v := line(n + i)
			v.Time = v.Time.Add(1000 * time.Hour)
			lines = append(lines, v)
		}
		say(lines...)
	}
	if got, err = l.Health(ctx, north, 2*keepHealth); err != nil || len(got) != keepHealth {
		t.Errorf("%d lines are kept, %v", len(got), err)
	}
	if r, err := l.Recorder(ctx, north); err != nil || r.Status.HealthLog != nil {
		t.Errorf("the status holds the log: %v", err)
	}
}

// TestTokens: who may use a token, and what is known of it afterwards.
func TestTokens(t *testing.T) {
	l, ctx := open(t), t.Context()
	keys := [2]ed25519.PublicKey{}
	for i := range keys {
		var err error
		keys[i], _, err = ed25519.GenerateKey(nil)
		must(t, err)
	}
	bound, err := l.AddToken(ctx, hq.Token{Site: "Pemba", Only: call.DeviceIDOf(keys[0]), By: "ada", Expires: noon.Add(time.Hour)})
	must(t, err)
	free, err := l.AddToken(ctx, hq.Token{Site: "Cuamba", Expires: noon.Add(time.Hour)})
	must(t, err)
	if _, err := l.UseToken(ctx, bound, keys[1]); !errors.Is(err, hq.ErrRefused) || !strings.Contains(err.Error(), "for recorder "+string(call.DeviceIDOf(keys[0]))) {
		t.Errorf("a token of another: %v", err)
	}
	for token, key := range map[string]ed25519.PublicKey{bound: keys[0], free: keys[1]} {
		if r, err := l.UseToken(ctx, token, key); err != nil || r.Device != call.DeviceIDOf(key) {
			t.Errorf("%+v, %v", r, err)
		}
	}
	list, err := l.Tokens(ctx, 10)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, got := range list {
		want := hq.Token{Site: "Cuamba", Made: got.Made, Expires: noon.Add(time.Hour), Used: call.DeviceIDOf(keys[1])}
		if got.Site == "Pemba" {
			want.Site, want.Only, want.By, want.Used = "Pemba", call.DeviceIDOf(keys[0]), "ada", call.DeviceIDOf(keys[0])
		}
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if list, err := l.Tokens(ctx, 1); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestAccounts(t *testing.T) {
	l, ctx := open(t), t.Context()
	a := l.Accounts()
	must(t, a.SaveUser(ctx, hq.User{Name: "ada", Password: "x"}))
	must(t, a.SaveUser(ctx, hq.User{Name: "bob", Password: "y"}))
	must(t, a.AddSession(ctx, hq.Session{TokenSHA256: "t1", User: "ada", Expires: noon.Add(time.Hour)}))
	must(t, a.AddSession(ctx, hq.Session{TokenSHA256: "t2", User: "bob", Expires: noon.Add(-time.Hour)}))
	must(t, a.AddSession(ctx, hq.Session{TokenSHA256: "t3", User: "bob", Expires: noon.Add(time.Hour)}))
	if s, err := a.Session(ctx, "t1"); err != nil || s.User != "ada" || !s.Expires.Equal(noon.Add(time.Hour)) {
		t.Errorf("session %+v, %v", s, err)
	}
	if _, err := a.Session(ctx, "t2"); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("an expired session is kept: %v", err)
	}
	if err := a.AddSession(ctx, hq.Session{TokenSHA256: "t4", User: "eve"}); err == nil {
		t.Error("a session of nobody")
	}
	must(t, a.SaveUser(ctx, hq.User{Name: "ada", Password: "z"}))
	if _, err := a.Session(ctx, "t1"); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("a new password leaves the old sessions: %v", err)
	}
	must(t, a.SaveUser(ctx, hq.User{Name: "ada", Password: "z", Admin: true}))
	must(t, a.SaveUser(ctx, hq.User{Name: "ada", Password: "z"}))
	if u, err := a.User(ctx, "ada"); err != nil || !u.Admin {
		t.Errorf("a new password takes a right away: %+v, %v", u, err)
	}
	must(t, a.RemoveUser(ctx, "bob"))
	if _, err := a.Session(ctx, "t3"); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("session of a user who is gone: %v", err)
	}
	for _, err := range []error{a.RemoveUser(ctx, "bob"), a.EndSession(ctx, "t9")} {
		if !errors.Is(err, hq.ErrNotFound) {
			t.Errorf("of what is not there: %v", err)
		}
	}
	users, err := a.Users(ctx)
	if err != nil || len(users) != 1 || users[0].Password != "z" {
		t.Errorf("users %+v, %v", users, err)
	}
	if _, err := a.User(ctx, "bob"); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("removed user: %v", err)
	}
}

func TestPeaks(t *testing.T) {
	l, ctx, id := open(t), t.Context(), call.NewID()
	if _, err := l.Peaks(ctx, id); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
	must(t, l.SavePeaks(ctx, id, []byte{1}))
	must(t, l.SavePeaks(ctx, id, []byte{1, 2}))
	if b, err := l.Peaks(ctx, id); err != nil || len(b) != 2 {
		t.Errorf("%v, %v", b, err)
	}
}

func TestWhatIsNotALibraryIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "library.db")
	must(t, os.WriteFile(path, []byte(strings.Repeat("not a database ", 100)), 0o600))
	if _, err := Open(path, time.Now); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a text file: %v", err)
	}
	path = filepath.Join(t.TempDir(), "library.db")
	l, err := Open(path, time.Now)
	must(t, err)
	_, err = l.write.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
	must(t, err)
	must(t, l.Close())
	if _, err := Open(path, time.Now); err == nil || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("of a newer program: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// BenchmarkCalls asks a library of many calls. LINEKEEPER_CALLS is how many, a million for the figures in the docs.
func BenchmarkCalls(b *testing.B) {
	count := 20_000
	if s := os.Getenv("LINEKEEPER_CALLS"); s != "" {
		_, err := fmt.Sscan(s, &count)
		must(b, err)
	}
	l := open(b)
	fill(b, l, count)
	b.ResetTimer()
	for name, q := range map[string]hq.Query{
		"newest":         {},
		"one line":       {Site: "Site 17", Line: "Line 1"},
		"few lines":      {Text: "site 17"},
		"most lines":     {Text: "line"},
		"no line":        {Text: "nowhere"},
		"a day long ago": {From: noon.Add(-100 * time.Hour), To: noon.Add(-76 * time.Hour), Text: "site 3"},
		"call ID":        {Text: "7ZZZZZ"},
		"deep":           {Before: &hq.Cursor{Began: noon.Add(-50 * time.Hour)}, Text: "2"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _, err := l.Calls(context.Background(), q)
				must(b, err)
			}
		})
	}
}

func fill(b *testing.B, l *Library, count int) {
	random := rand.New(rand.NewPCG(1, 2))
	tx, err := l.write.database.(*sql.Conn).BeginTx(b.Context(), nil)
	must(b, err)
	const lines = 3000
	for n := range lines {
		device := fmt.Sprintf("D%07d", n/4)
		_, err := tx.Exec(`INSERT OR IGNORE INTO recorders (device, key, site, added) VALUES (?, x'00', ?, 0)`, device, fmt.Sprintf("Site %d", n/8))
		must(b, err)
		_, err = tx.Exec(`INSERT INTO lines (n, device, line, site) VALUES (?, ?, ?, ?)`, n+1, device, fmt.Sprintf("Line %d", n%4), fmt.Sprintf("Site %d", n/8))
		must(b, err)
	}
	insert, err := tx.Prepare(`INSERT INTO calls (id, line, number, stage, began, grade, duration, began_by, ended_by, codec, channels, sides, rate, gaps,
		recovered, size, sha256, received, via) VALUES (?, ?, 1, 'durable', ?, 'ntp', 0, 'voice', 'silence', 'opus', 1, 'null', 8000, '[]', 0, 1, ?, 0, 'https')`)
	must(b, err)
	for i := range count {
		_, err := insert.Exec(call.NewID().String(), random.IntN(lines)+1, nanos(noon.Add(-time.Duration(i)*time.Second)), strings.Repeat("ab", 32))
		must(b, err)
	}
	must(b, insert.Close())
	must(b, tx.Commit())
}
