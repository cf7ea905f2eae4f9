package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
)

// The key is that of RFC 8037, appendix A.1: everybody has it.
var (
	seed, _ = base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	key     = ed25519.NewKeyFromSeed(seed)
	pub     = key.Public().(ed25519.PublicKey)
	other   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

	start  = ledger.State{Device: call.DeviceIDOf(pub), Epoch: 7}
	id     = call.ID{1}
	anchor = call.Anchor{BootID: "b", BootTime: time.Second, Wall: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), Grade: call.GradeRTC}
	hash   = strings.Repeat("0f", 32)
	hash2  = strings.Repeat("1e", 32)
)

func manifest() *call.Manifest {
	return &call.Manifest{
		Began: call.BeganVoice, Ended: call.EndedSilence, Anchor: anchor, Duration: 1.5, Frames: 12000, Rate: 8000,
		Codec: call.Opus, Channels: 1, Gaps: []call.Gap{{Position: 1, Frames: 2, Cause: call.CauseOverrun}},
		Size: 1000, SHA256: hash, Chain: hash2, Software: "1",
	}
}

// entries is one of each type, the first two being what every ledger begins with.
func entries() []call.Entry {
	return []call.Entry{
		{Type: call.EntryEpoch, Anchor: anchor, LastEnd: &call.Seq{Epoch: 3, Number: 9}},
		{Type: call.EntryBegin, Anchor: anchor, Call: &id, Line: "1", Reason: call.BeganVoice},
		{Type: call.EntryEnd, Anchor: anchor, Call: &id, Line: "1", Manifest: manifest()},
		{Type: call.EntryGap, Anchor: anchor, Line: "1", Gap: &call.Gap{Position: 5, Frames: 6, Cause: call.CauseCardLost}},
		{Type: call.EntryTombstone, Anchor: anchor, Call: &id, Reason: call.EndedRingFull},
		{Type: call.EntryMissed, Anchor: anchor, Line: "1", Missed: &call.Missed{Rings: 4, Waited: 15.2}},
		{Type: call.EntryPause, Anchor: anchor, Line: "1", Call: &id, Gap: &call.Gap{Position: 8000, Frames: 80000, Cause: "pause"}},
		{Type: call.EntryCorrection, Anchor: anchor, Correction: &call.Correction{BootID: "b", Add: -time.Minute, Grade: call.GradeNTP}},
		{Type: call.EntryRefusal, Anchor: anchor, Call: &id, Line: "1"},
		{Type: call.EntryAmendment, Anchor: anchor, Call: &id, Amendment: &call.Amendment{
			Was: hash, Size: 1000, SHA256: hash2, Chain: hash,
			Holes: []call.Hole{{Record: 2, Records: 1, Offset: 100, Size: 50}, {Record: 5, Records: 3, Offset: 300, Size: 700}},
		}},
		{Type: call.EntryLost, Anchor: anchor, Lost: &call.Lost{First: 2, Last: 2}},
	}
}

// run adds entries to a new ledger.
func run(t testing.TB, list ...call.Entry) (jws [][]byte, l *ledger.Ledger) {
	t.Helper()
	l = ledger.New(start, key)
	for _, e := range list {
		jws = append(jws, add(t, l, e))
	}
	return jws, l
}

func add(t testing.TB, l *ledger.Ledger, e call.Entry) (jws []byte) {
	t.Helper()
	if _, err := l.Add(e, func(_ uint64, b []byte) error { jws = b; return nil }); err != nil {
		t.Fatal(err)
	}
	return jws
}

// raw is a JWS of any payload, signed.
func raw(t testing.TB, key ed25519.PrivateKey, payload any) []byte {
	t.Helper()
	b, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	return sign(key, `{"alg":"EdDSA","kid":"`+string(start.Device)+`"}`, b)
}

func sign(key ed25519.PrivateKey, header string, payload []byte) []byte {
	b := base64.RawURLEncoding.AppendEncode(nil, []byte(header))
	b = base64.RawURLEncoding.AppendEncode(append(b, '.'), payload)
	return base64.RawURLEncoding.AppendEncode(append(b, '.'), ed25519.Sign(key, b))
}

func TestAddAndVerify(t *testing.T) {
	jws, l := run(t, entries()...)
	previous := ""
	for i, want := range entries() {
		want.Version, want.Device, want.Epoch, want.Number, want.Previous = 1, start.Device, start.Epoch, uint64(i+1), previous
		got, err := ledger.Verify(jws[i], pub)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
		}
		if again, err := ledger.Parse(jws[i]); err != nil || !reflect.DeepEqual(again, want) {
			t.Errorf("parsed %+v, %v", again, err)
		}
		previous = ledger.Hash(jws[i])
	}
	want := ledger.State{Device: start.Device, Epoch: start.Epoch, Next: uint64(len(jws)) + 1, Previous: previous}
	if s := l.State(); s != want {
		t.Errorf("state %+v", s)
	}
}

func TestVerifyRefusesOtherSigners(t *testing.T) {
	jws, _ := run(t, entries()...)
	e, err := ledger.Parse(jws[1])
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		jws []byte
		pub ed25519.PublicKey
	}{
		"another key":              {jws[1], other.Public().(ed25519.PublicKey)},
		"no key":                   {jws[1], nil},
		"signed by another":        {raw(t, other, e), pub},
		"another's, with its key":  {raw(t, other, e), other.Public().(ed25519.PublicKey)}, // whose device ID is another
		"signature of another one": {append(jws[1][:bytes.LastIndexByte(jws[1], '.'):len(jws[1])], jws[2][bytes.LastIndexByte(jws[2], '.'):]...), pub},
	} {
		if _, err := ledger.Verify(c.jws, c.pub); !errors.Is(err, ledger.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryBitIsSigned: an entry altered in any bit is refused.
func TestEveryBitIsSigned(t *testing.T) {
	jws, _ := run(t, entries()...)
	for i := range jws[2] {
		for bit := range 8 {
			altered := bytes.Clone(jws[2])
			altered[i] ^= 1 << bit
			if _, err := ledger.Verify(altered, pub); err == nil {
				t.Errorf("byte %d, bit %d", i, bit)
			}
		}
	}
}

func TestNumberIsTakenOnlyByWhatIsStored(t *testing.T) {
	l := ledger.New(start, key)
	full := errors.New("full")
	e := entries()[1]
	for range 3 {
		if _, err := l.Add(e, func(uint64, []byte) error { return full }); !errors.Is(err, full) {
			t.Fatal(err)
		}
	}
	never := func(uint64, []byte) error { t.Error("stored"); return nil }
	if _, err := l.Add(call.Entry{Type: "nonsense"}, never); err == nil {
		t.Error("an entry of no known type was added")
	}
	huge := e
	huge.Line = strings.Repeat("x", ledger.MaxEntry)
	if _, err := l.Add(huge, never); err == nil {
		t.Error("a huge entry was added")
	}
	for name, k := range map[string]ed25519.PrivateKey{"another": other, "no": nil, "half a": key[:32]} {
		if _, err := ledger.New(start, k).Add(e, never); err == nil || !strings.Contains(err.Error(), "not that of device") {
			t.Errorf("%s key: %v", name, err)
		}
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
	l := ledger.New(start, key)
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
	checked, err := ledger.Check(&ledger.Link{Device: start.Device, Epoch: start.Epoch}, pub, jws...)
	if err != nil || len(checked) != 400 {
		t.Errorf("%d entries, %v", len(checked), err)
	}
}
