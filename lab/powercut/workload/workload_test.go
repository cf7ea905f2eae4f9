package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/powercut"
)

// recorded is a workload that ran, and its card as it stood while it waited for an answer, after so many claims.
type recorded struct {
	claims *powercut.Claims
	said   []byte // the claims, as they came
	cards  map[uint64]string
}

// every copies the card at every so many claims.
func every(claims uint64) func(uint64) bool { return func(n uint64) bool { return n%claims == 0 } }

// record runs the workload, and copies its card at the claims that are wanted. What a recorder that is killed there leaves on
// its card is what stands in the copy.
func record(t *testing.T, wanted func(uint64) bool) recorded {
	t.Helper()
	return recordOn(t, workload{card: t.TempDir()}, wanted)
}

// recordOn does so with what is given of the workload.
func recordOn(t *testing.T, w workload, wanted func(uint64) bool) recorded {
	t.Helper()
	dir := t.TempDir()
	r := recorded{cards: make(map[uint64]string)}
	claimsFrom, claimsTo := io.Pipe()
	answersFrom, answersTo := io.Pipe()
	w.lines, w.length, w.seed = 3, 4*time.Minute, 7
	w.teller = powercut.NewTeller(claimsTo, answersFrom)
	ended := make(chan error, 1)
	go func() {
		err := w.run()
		_ = claimsTo.Close()
		ended <- err
	}()
	n := uint64(0)
	said := new(bytes.Buffer)
	claims, err := powercut.Listen(io.TeeReader(claimsFrom, said), answersTo, func() (uint64, error) {
		n++
		if !wanted(n) {
			return n, nil
		}
		r.cards[n] = filepath.Join(dir, fmt.Sprint(n))
		return n, os.CopyFS(r.cards[n], os.DirFS(w.card))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	r.claims, r.said = claims, said.Bytes()
	return r
}

func TestClaimsHold(t *testing.T) {
	r := record(t, every(10))
	promises := r.claims.Promises()
	for n := uint64(10); n <= uint64(r.claims.Len()); n += 10 {
		if err := powercut.CheckRing(r.cards[n], promises.At(n)); err != nil {
			t.Errorf("after claim %d: %v", n, err)
		}
	}
}

// TestClaimsHoldInLaterLives goes on where a cut has left calls open, twice.
func TestClaimsHoldInLaterLives(t *testing.T) {
	const cut, step = 150, 25
	r := record(t, every(cut))
	promise := r.claims.Promises().At(cut)
	for begin := time.Hour; begin <= 2*time.Hour; begin += time.Hour {
		r = recordOn(t, workload{card: r.cards[cut], begin: begin}, every(step))
		promises := r.claims.After(promise)
		for n := uint64(step); n <= uint64(r.claims.Len()); n += step {
			p := promises.At(n)
			if n == cut { // where the next life begins
				promise = p
				continue
			}
			if err := powercut.CheckRing(r.cards[n], p); err != nil {
				t.Errorf("life from %v on, after claim %d: %v", begin, n, err)
			}
		}
	}
}

// claimsOf reads what was said again, with one claim in the place of each.
func claimsOf(t *testing.T, said []byte, edit func(n uint64, c *powercut.Claim)) *powercut.Claims {
	t.Helper()
	var edited bytes.Buffer
	in, out := json.NewDecoder(bytes.NewReader(said)), json.NewEncoder(&edited)
	for n := uint64(1); in.More(); n++ {
		var c powercut.Claim
		if err := in.Decode(&c); err != nil {
			t.Fatal(err)
		}
		edit(n, &c)
		if err := out.Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	n := uint64(0)
	claims, err := powercut.Listen(&edited, io.Discard, func() (uint64, error) { n++; return n, nil })
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestCheckFindsOut promises more than the card holds, or other things.
func TestCheckFindsOut(t *testing.T) {
	r := recordOn(t, workload{card: t.TempDir(), lockstep: make(chan struct{})}, func(n uint64) bool { return n >= 120 && n < 160 })
	at := uint64(0) // a claim of a call that goes on, and of an entry
	claimsOf(t, r.said, func(n uint64, c *powercut.Claim) {
		if at == 0 && r.cards[n] != "" && len(c.Entries) > 0 && len(c.Calls) > 0 && !c.Calls[0].Ended {
			at = n
		}
	})
	if at == 0 {
		t.Fatal("no claim to alter")
	}
	for name, c := range map[string]struct {
		edit func(c *powercut.Claim)
		want string
	}{
		"nothing":          {func(*powercut.Claim) {}, ""},
		"a call more":      {func(c *powercut.Claim) { c.Calls = append(c.Calls, powercut.CallClaim{Call: call.ID{1}, Size: 5}) }, "is gone"},
		"other bytes":      {func(c *powercut.Claim) { c.Calls[0].SHA256 = strings.Repeat("0", 64) }, "not those that were written"},
		"more bytes":       {func(c *powercut.Claim) { c.Calls[0].Size++ }, "bytes of it are left"},
		"an end":           {func(c *powercut.Claim) { c.Calls[0].Ended = true }, "its end was synced, and is gone"},
		"later audio":      {func(c *powercut.Claim) { c.Heard += time.Minute }, "had been heard"},
		"an entry more":    {func(c *powercut.Claim) { c.Entries = []powercut.EntryClaim{{Number: 1e6}} }, "was synced"},
		"another entry":    {func(c *powercut.Claim) { c.Entries[0].SHA256 = "x" }, "not the one that was written"},
		"a released call":  {func(c *powercut.Claim) { c.Released = &powercut.Release{Calls: []call.ID{c.Calls[0].Call}} }, "waits again"},
		"released entries": {func(c *powercut.Claim) { c.Released = &powercut.Release{Last: 1e6} }, "which headquarters has"},
	} {
		t.Run(name, func(t *testing.T) {
			card := t.TempDir()
			if err := os.CopyFS(card, os.DirFS(r.cards[at])); err != nil {
				t.Fatal(err)
			}
			claims := claimsOf(t, r.said, func(n uint64, claim *powercut.Claim) {
				if n == at {
					c.edit(claim)
				}
			})
			err := powercut.CheckRing(card, claims.Promises().At(at))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestCheckFindsDamage takes from the card what it had.
func TestCheckFindsDamage(t *testing.T) {
	const at = 150
	r := recordOn(t, workload{card: t.TempDir(), lockstep: make(chan struct{})}, every(at))
	for name, damage := range map[string]func(ring string, segments []string) error{
		"a segment gone":    func(_ string, s []string) error { return os.Remove(s[1]) },
		"the ring gone":     func(ring string, _ []string) error { return os.RemoveAll(ring) },
		"a segment of zero": func(_ string, s []string) error { return os.WriteFile(s[len(s)-1], make([]byte, 256<<10), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			card := t.TempDir()
			if err := os.CopyFS(card, os.DirFS(r.cards[at])); err != nil {
				t.Fatal(err)
			}
			ring := filepath.Join(card, powercut.RingFolder)
			segments, err := filepath.Glob(filepath.Join(ring, "segment-*.lkr"))
			if err != nil || len(segments) < 3 {
				t.Fatal(segments, err)
			}
			if err := damage(ring, segments); err != nil {
				t.Fatal(err)
			}
			if err := powercut.CheckRing(card, r.claims.Promises().At(at)); err == nil {
				t.Fatal("it was not found out")
			} else {
				t.Log(err)
			}
		})
	}
}
