//go:build e2e

package capture

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/lab/linesim"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/line"
	"github.com/linekeeper/linekeeper/line/dtmf"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/recorder"
	"github.com/linekeeper/linekeeper/seal"
)

var day = flag.Duration("day", 2*time.Hour, "of its own time that TestDriftOverADay lasts")

const (
	driftRate = 8000
	dayBegins = 100 * time.Hour // of uptime
	awayFor   = 7 * time.Second // that the card is away, in the middle of the day
)

// TestDriftOverADay hears a card whose clock is 200 ppm too fast, or too slow, for a day that passes as quickly as the
// machine can, with calls all over it, and the card pulled once in the middle. Nothing is lost but what went by then, and
// that is a gap as long as the card was away; each frame stands at its place; the time from a frame to its delivery is the
// same in the evening as in the morning; and calls and the digits keyed in them are where they were.
func TestDriftOverADay(t *testing.T) {
	for _, ppm := range []int{200, -200} {
		t.Run(fmt.Sprint(ppm), func(t *testing.T) {
			d := newDriftDay(t, ppm)
			began := time.Now()
			d.run(*day)
			t.Logf("%+d ppm: %v in %v", ppm, *day, time.Since(began).Round(time.Second))
			d.account()
		})
	}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// driftDay is a card, a recorder of one line, and what of the day is known.
type driftDay struct {
	t      *testing.T
	ppm    int
	clock  *linesim.Clock
	card   *Card
	line   *recorder.Line
	record *recorder.Recorder
	keys   seal.Keys
	sound  phone.Audio // which the card plays again and again
	places *phone.Places

	frame          int64         // of the card, the next
	off            int64         // of the position from it, since the last loss
	least, most    time.Duration // from a frame to its delivery
	early, late    time.Duration // the least of the first hour, and of the last
	lost, lossWas  int64
	periods, wrong int64
	backlog        int // most periods that waited in the queue
	records        []call.Record
	begun          time.Duration // when frame 0 was
	end            time.Duration
}

// newDriftDay makes a line on which somebody dials, is answered and speaks, every few minutes.
func newDriftDay(t *testing.T, ppm int) *driftDay {
	t.Helper()
	d := &driftDay{t: t, ppm: ppm, least: time.Hour}
	dir := t.TempDir()
	clips, err := phone.Clips(must(phone.FindVoices())(t), 2*time.Second, 6*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	script := phone.Script{After: 90 * time.Second}
	for i, before := range []time.Duration{20, 150, 240} {
		steps := []phone.Step{phone.DialTone(2 * time.Second), phone.Digits(fmt.Sprint(4711 + i)), phone.RingBack(1)}
		for n := range 8 {
			steps = append(steps, phone.Say(phone.Side(n%2), clips[8*i+n]), phone.Pause(700*time.Millisecond))
		}
		script.Calls = append(script.Calls, phone.Call{Before: before * time.Second, Steps: steps})
	}
	d.sound = script.Render(phone.Options{Rate: driftRate})
	for i, n := range phone.Noise(len(d.sound.Samples), 40, 1) {
		d.sound.Samples[i] = d.sound.Samples[i]/2 + n
	}
	d.places = phone.NewPlaces(d.sound.Samples)

	d.clock = must(linesim.NewClock(filepath.Join(dir, "clock"), dayBegins))(t)
	d.begun = dayBegins
	gone := int64(day.Seconds()/2) * driftRate
	card := linesim.Card{
		Name: "drifting", File: filepath.Join(dir, "line.raw"), Rate: driftRate, Channels: 1, PPM: ppm, Loop: true, Control: true,
		Clock: d.clock, UnplugAt: gone, ReplugAt: gone + int64(awayFor.Seconds()*driftRate),
	}
	if err := linesim.WriteSamples(card.File, d.sound.Samples); err != nil {
		t.Fatal(err)
	}
	sim := must(linesim.Install(t.Context(), dir, card))(t)
	name, value, _ := strings.Cut(sim.Env(), "=")
	t.Setenv(name, value)
	cfg := Config{Device: card.Name, Lines: []LineConfig{{"a", []int{0}}}, Watchdog: 30 * time.Second}
	d.card = New(cfg, slog.New(slog.DiscardHandler))
	d.card.now = d.clock.Now
	opener := &alsaOpener{cfg: d.card.cfg, clock: d.clock.Word()}
	tried := false
	d.card.open = func() (device, error) {
		if tried {
			d.clock.Advance(retryInterval) // which has gone by in real time, but not here
		}
		tried = true
		return opener.open()
	}
	d.makeRecorder()
	return d
}

func (d *driftDay) makeRecorder() {
	key, _, err := seal.NewKey()
	if err != nil {
		d.t.Fatal(err)
	}
	d.keys = seal.Keys{key}
	signer := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	id := call.DeviceIDOf(signer.Public().(ed25519.PublicKey))
	d.record = recorder.New(recorder.Config{
		Device: id, Epoch: 1, Software: "test", Ledger: ledger.New(ledger.State{Device: id, Epoch: 1}, signer), Ring: d, Clock: d,
		Seal: func(h call.Header) (recorder.File, []call.Record, error) {
			return seal.NewWriter(h, seal.Recipients{key.Recipient()})
		},
		Log: slog.New(slog.DiscardHandler),
	})
	f := pcm.Format{Rate: driftRate, Channels: 1}
	listens := line.DefaultConfig()
	listens.HangOver = 10 * time.Second
	listens.Detectors.Digits = dtmf.NewDetector(f)
	d.line = must(d.record.Line(recorder.LineConfig{
		Name: "a", Format: f, Codec: call.FLAC, Detector: line.New(listens, f), History: 15 * time.Second,
		NewEncoder: func(call.ID) (recorder.Encoder, error) {
			e, err := encoder.New(encoder.Config{Codec: "flac", Rate: driftRate, Channels: 1})
			return driftChunks{e}, err
		},
	}))(d.t)
}

// driftChunks is an encoder.Encoder as the recorder wants it.
type driftChunks struct{ encoder.Encoder }

func (c driftChunks) Write(samples []int16, emit func(recorder.Chunk) error) error {
	return c.Encoder.Write(samples, func(x encoder.Chunk) error { return emit(recorder.Chunk(x)) })
}

func (c driftChunks) Close(emit func(recorder.Chunk) error) error {
	return c.Encoder.Close(func(x encoder.Chunk) error { return emit(recorder.Chunk(x)) })
}

// Append implements recorder.Ring.
func (d *driftDay) Append(r call.Record) error {
	r.Data = slices.Clone(r.Data)
	d.records = append(d.records, r)
	return nil
}

// Anchor implements recorder.Clock. Wall time begins with the day.
func (d *driftDay) Anchor() call.Anchor {
	now := d.clock.Now()
	return call.Anchor{BootID: "boot", BootTime: now, Wall: time.Unix(0, 0).UTC().Add(now), Grade: call.GradeNTP}
}

// truth is when a frame of the card was.
func (d *driftDay) truth(frame int64) time.Duration {
	return d.begun + time.Duration(float64(frame)/driftRate/(1+float64(d.ppm)/1e6)*float64(time.Second))
}

func (d *driftDay) run(length time.Duration) {
	ctx, cancel := context.WithCancel(d.t.Context())
	defer cancel()
	err := d.card.Run(ctx, func(_ int, p pcm.Period) {
		d.line.Heard(p)
		d.hear(p)
		d.clock.Taken(p.At)
		if p.At >= dayBegins+length {
			cancel()
		}
	})
	d.end = d.clock.Now()
	if err := errors.Join(err, d.record.Stop()); err != nil {
		d.t.Error(err)
	}
}

// hear holds a period against the truth.
func (d *driftDay) hear(p pcm.Period) {
	d.periods++
	d.backlog = max(d.backlog, int((d.clock.Now()-p.At)/d.card.cfg.Period))
	d.lost += p.LostFrames
	if len(p.Samples) == 0 {
		return
	}
	loop := int64(len(d.sound.Samples))
	if d.lost > d.lossWas { // where it goes on, the audio says, and about when, the clock
		d.lossWas = d.lost
		at, same := d.places.Find(p.Samples)
		about := int64(float64(p.At-d.begun)/float64(time.Second)*driftRate*(1+float64(d.ppm)/1e6)) - int64(len(p.Samples))
		d.frame = (about+loop/2-int64(at))/loop*loop + int64(at)
		if same == 0 {
			d.wrong++
		}
		d.t.Logf("after the loss position %d stands for frame %d of the card, before it for %d", p.Position, d.frame, p.Position-d.off)
		d.off = p.Position - d.frame
	}
	for i, s := range p.Samples {
		if s != d.sound.Samples[(d.frame+int64(i))%loop] {
			d.wrong++
			break
		}
	}
	if p.Position-d.frame != d.off {
		d.wrong++
	}
	d.frame += int64(len(p.Samples))
	lag := p.At - d.truth(d.frame)
	d.least, d.most = min(d.least, lag), max(d.most, lag)
	if at := p.At - d.begun; at < *day/24 {
		d.early = max(d.early, lag)
	} else if at > *day-*day/24 {
		d.late = max(d.late, lag)
	}
}

func (d *driftDay) account() {
	t := d.t
	s := d.card.Status()
	away := pcm.Format{Rate: driftRate}.Duration(d.lost)
	t.Logf("%d periods, %d wrong; delivered from %v to %v after their last frame, at most %v in the first hour and %v in the last; at most %d periods waited",
		d.periods, d.wrong, d.least.Round(time.Microsecond), d.most.Round(time.Microsecond), d.early.Round(time.Microsecond), d.late.Round(time.Microsecond), d.backlog)
	t.Logf("lost %v of the %v that the card was away, and until it was open again; %+v", away, awayFor, s)
	if d.wrong > 0 || d.least < -time.Millisecond || d.most > 250*time.Millisecond || (d.early-d.late).Abs() > 20*time.Millisecond {
		t.Error("the timeline is not that of the card")
	}
	if s.Reopened != 1 || s.Overruns != 0 || s.LostFrames != d.lost || away < awayFor-100*time.Millisecond || away > awayFor+2*time.Second || d.off < -period8 || d.off > period8 {
		t.Errorf("off by %d frames after the card was back", d.off)
	}
	d.accountForCalls()
}

const period8 = driftRate / 5 // frames

// accountForCalls: all calls are there, each begins when its first frame was, and so does each digit.
func (d *driftDay) accountForCalls() {
	t := d.t
	ids, files := map[call.ID]bool{}, map[call.ID][]byte{}
	var order []call.ID
	for _, r := range d.records {
		if r.Kind.InFile() {
			if !ids[r.Call] {
				ids[r.Call] = true
				order = append(order, r.Call)
			}
			files[r.Call] = append(files[r.Call], r.Data...)
		}
	}
	loop := int64(len(d.sound.Samples))
	digits, worst, worstDigit := 0, time.Duration(0), time.Duration(0)
	for _, id := range order {
		contents, err := seal.Verify(bytes.NewReader(files[id]), d.keys)
		if err != nil {
			t.Fatal(err)
		}
		samples := d.decode(files[id])
		if _, err := d.places.Hear(samples, contents.End.Gaps); err != nil && contents.End.Reason != call.EndedStopped {
			t.Errorf("call of %v: %v", pcm.Format{Rate: driftRate}.Duration(contents.End.Frames), err)
		}
		at, _ := d.places.Find(samples)
		began := contents.Header.Anchor.BootTime
		about := int64(float64(began-d.begun) / float64(time.Second) * driftRate * (1 + float64(d.ppm)/1e6))
		first := (about+loop/2-int64(at))/loop*loop + int64(at)
		worst = max(worst, (began - d.truth(first)).Abs())
		for _, m := range contents.Marks {
			if m.Kind != call.MarkDigits || len(contents.End.Gaps) > 0 {
				continue
			}
			digits += len(m.Value)
			frame := (first + m.Position) % loop
			if !d.dialledAt(frame, m.Value) {
				t.Errorf("digits %s at frame %d of the sound", m.Value, frame)
			}
			said := began + pcm.Format{Rate: driftRate}.Duration(m.Position) // as the call is shown
			worstDigit = max(worstDigit, (said - d.truth(first+m.Position)).Abs())
		}
	}
	want := 0
	for n := int64(0); ; n++ {
		last := n*loop + d.sound.Calls[len(d.sound.Calls)-1].End + 15*driftRate
		if d.truth(last) > d.end {
			break
		}
		want += len(d.sound.Calls)
	}
	t.Logf("%d calls, at least %d were made; %d digits; off by at most %v where they begin, %v where digits are", len(order), want, digits,
		worst.Round(time.Microsecond), worstDigit.Round(time.Microsecond))
	if len(order) < want || len(order) > want+len(d.sound.Calls)+1 || digits < 4*(want-1) || worst > 250*time.Millisecond || worstDigit > 250*time.Millisecond {
		t.Error("calls or digits are missing, or not when they were")
	}
}

// dialledAt says whether digits were keyed at about a frame of the sound.
func (d *driftDay) dialledAt(frame int64, digits string) bool {
	for _, c := range d.sound.Calls {
		for _, h := range c.Heard {
			if h.Kind == phone.KindDigits && frame > h.Begin-driftRate/5 && frame < h.End+driftRate/5 && bytes.Contains([]byte(h.Value), []byte(digits)) {
				return true
			}
		}
	}
	return false
}

func (d *driftDay) decode(file []byte) (samples []int16) {
	header, media, err := seal.OpenMedia(bytes.NewReader(file), d.keys)
	if err != nil {
		d.t.Fatal(err)
	}
	from := must(encoder.NewDecoder(string(header.Codec), media))(d.t)
	for buf := make([]int16, 8192); ; {
		n, err := from.Read(buf)
		samples = append(samples, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return samples
		}
		if err != nil {
			d.t.Fatal(err)
		}
	}
}
