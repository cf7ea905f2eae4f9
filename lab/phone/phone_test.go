package phone

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/pcm"
)

// murmur is a clip that is like speech: coloured noise in syllables. Each seed is other speech.
func murmur(seed uint64, rate int, seconds float64) Clip {
	random := rand.New(rand.NewPCG(seed, 5))
	samples := make([]int16, int(seconds*float64(rate)))
	state := 0.0
	for i := range samples {
		state += (random.NormFloat64() - state) * 0.5
		syllable := math.Abs(math.Sin(math.Pi * (0.5/3.5 + float64(i)/float64(rate)) * 3.5))
		samples[i] = int16(state * syllable * 6000)
	}
	return Clip{Name: string(rune('a' + seed)), Rate: rate, Samples: samples}
}

func voiceOn(t *testing.T, dir, name string, clips ...Clip) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range clips {
		f := pcm.Format{Rate: c.Rate, Channels: 1}
		data := pcm.AppendBytes(pcm.WAVHeader(f, int64(len(c.Samples))), c.Samples)
		if err := os.WriteFile(filepath.Join(dir, name, c.Name+".wav"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// rms is the level of samples, dBFS.
func rms(samples []int16) float64 {
	return 10 * math.Log10(meanSquare(toFloat(samples)))
}

// power of one frequency in samples, dBFS.
func power(samples []int16, rate int, frequency float64) float64 {
	var re, im float64
	for i, s := range toFloat(samples) {
		sin, cos := math.Sincos(2 * math.Pi * frequency * float64(i) / float64(rate))
		re, im = re+s*cos, im+s*sin
	}
	return 10 * math.Log10(2*(re*re+im*im)/float64(len(samples))/float64(len(samples)))
}

func TestRender(t *testing.T) {
	agent, caller := murmur(1, 8000, 2), murmur(2, 16000, 3)
	script := Script{
		Calls: []Call{
			{Before: time.Second, Incoming: true, Steps: []Step{Ring(2), Pause(time.Second), Say(Agent, agent), Say(Caller, caller).At(-30)}},
			{Before: 5 * time.Second, Steps: []Step{DialTone(time.Second), Digits("159#"), RingBack(1), SayAt(Caller, caller, 1.25), Busy(2)}},
		},
		After: 3 * time.Second,
	}
	for _, rate := range []int{8000, 16000, 44100} {
		audio := script.Render(Options{Rate: rate, Apart: true, Seed: 1})
		seconds := float64(len(audio.Samples)) / 2 / float64(rate)
		if want := 1 + 8 + 1 + 2 + 3 + 5 + 1 + 0.7 + 1 + 2.4 + 1.5 + 3; math.Abs(seconds-want) > 0.01 {
			t.Errorf("at %d: %.2f s, want %.2f", rate, seconds, want)
		}
		if len(audio.Calls) != 2 || !audio.Calls[0].Incoming || audio.Calls[1].Incoming || audio.Calls[1].Digits != "159#" {
			t.Fatalf("%+v", audio.Calls)
		}
		if begin := float64(audio.Calls[0].Begin) / float64(rate); math.Abs(begin-1) > 1e-3 {
			t.Errorf("the first call begins at %v", begin)
		}
		levels := map[Kind]float64{KindRing: -15, KindSpeech: -22, KindDialTone: -20, KindRingBack: -20, KindBusy: -20, KindDigits: -16}
		for i, p := range slices.Concat(audio.Calls[0].Heard, audio.Calls[1].Heard) {
			want := levels[p.Kind]
			if i == 2 {
				want = -30
			}
			side := pcm.Pick(nil, audio.Samples[p.Begin*2:p.End*2], 2, int(p.Side))
			other := pcm.Pick(nil, audio.Samples[p.Begin*2:p.End*2], 2, 1-int(p.Side))
			if got := -20 * math.Log10(gainTo(toFloat(side), 0)); math.Abs(got-want) > 1 {
				t.Errorf("at %d: %s is at %.1f dBFS, want %.1f", rate, p.Kind, got, want)
			}
			if got := rms(other); got > -55 {
				t.Errorf("at %d: %s is heard on the other side at %.1f dBFS", rate, p.Kind, got)
			}
		}
	}
}

func TestDigitsAreDTMF(t *testing.T) {
	audio := Script{Calls: []Call{{Steps: []Step{Digits("0")}}}}.Render(Options{Rate: 8000, Silent: true})
	for frequency, heard := range map[float64]bool{941: true, 1336: true, 697: false, 770: false, 852: false, 1209: false, 1477: false, 1633: false} {
		if got := power(audio.Samples[80:720], 8000, frequency); (got > -22) != heard || (got < -35) == heard {
			t.Errorf("%v Hz at %.1f dBFS", frequency, got)
		}
	}
}

// TestDeterminism: a seed gives the same samples, another seed others.
func TestDeterminism(t *testing.T) {
	script := Script{Calls: []Call{{Steps: []Step{Ring(1), Say(Agent, murmur(1, 8000, 1))}}}}
	a, b := script.Render(Options{Rate: 8000, Seed: 1}), script.Render(Options{Rate: 8000, Seed: 1})
	if !slices.Equal(a.Samples, b.Samples) {
		t.Error("the same seed gave other samples")
	}
	if c := script.Render(Options{Rate: 8000, Seed: 2}); slices.Equal(a.Samples, c.Samples) {
		t.Error("another seed gave the same samples")
	}
}

func TestVoices(t *testing.T) {
	dir := t.TempDir()
	voiceOn(t, dir, "ru_RU_f_IvrvoiceRU", murmur(1, 8000, 2))
	voiceOn(t, dir, "fr_CA_f_June", murmur(1, 8000, 2))
	voiceOn(t, dir, "en_US_f_Allison", murmur(1, 8000, 2), murmur(2, 8000, 0.5), murmur(3, 8000, 9))
	voices, err := findVoices(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range voices {
		names = append(names, v.Name)
	}
	if want := []string{"en_US_f_Allison", "fr_CA_f_June", "ru_RU_f_IvrvoiceRU"}; !slices.Equal(names, want) {
		t.Errorf("voices %q, want %q", names, want)
	}
	clips, err := Clips(voices[:1], time.Second, 4*time.Second)
	if err != nil || len(clips) != 1 || clips[0].Name != "b" {
		t.Errorf("clips %v, %v", clips, err)
	}
	if voices, err := findVoices(filepath.Join(dir, "not there")); err != nil || len(voices) > 0 {
		t.Errorf("no folder: %v, %v", voices, err)
	}
	t.Setenv("PATH", dir)
	if _, err := espeakVoices(dir); !errors.Is(err, ErrNoVoices) {
		t.Errorf("without espeak-ng: %v", err)
	}
	if _, err := ReadClip(filepath.Join(dir, "missing.wav")); err == nil {
		t.Error("a missing file was read")
	}
}

func testVoices(t *testing.T) []Voice {
	dir := t.TempDir()
	var clips []Clip
	for seed := range uint64(60) {
		clips = append(clips, murmur(seed, 8000, 1.2+float64(seed%20)*0.14))
	}
	voiceOn(t, dir, "en", clips...)
	voices, err := findVoices(dir)
	if err != nil {
		t.Fatal(err)
	}
	return voices
}

func TestDemoLoop(t *testing.T) {
	audio, err := DemoLoop(testVoices(t), 8000)
	if err != nil {
		t.Fatal(err)
	}
	seconds := func(frames int64) float64 { return float64(frames) / 8000 }
	if total := seconds(int64(len(audio.Samples))); total < 55 || total > 80 {
		t.Errorf("lasts %.1f s", total)
	}
	if len(audio.Calls) != 3 {
		t.Fatalf("%d calls", len(audio.Calls))
	}
	first := audio.Calls[0]
	if seconds(first.Begin) > 3 || seconds(first.End) > 13 || seconds(first.End) < 6 {
		t.Errorf("the first call is from %.1f to %.1f s", seconds(first.Begin), seconds(first.End))
	}
	for i, c := range audio.Calls {
		next := int64(len(audio.Samples))
		if i+1 < len(audio.Calls) {
			next = audio.Calls[i+1].Begin
		}
		if quiet := seconds(next - c.End); quiet < 8 {
			t.Errorf("%.1f s of quiet after call %d", quiet, i)
		}
		for j, p := range c.Heard[1:] {
			if pause := seconds(p.Begin - c.Heard[j].End); pause > 4 {
				t.Errorf("call %d pauses for %.1f s", i, pause)
			}
		}
	}
	if _, err := DemoLoop(nil, 8000); err == nil {
		t.Error("a loop without voices")
	}
}

func TestPlan(t *testing.T) {
	voices := testVoices(t)
	o := PlanOptions{Lines: 2, Calls: 5, Rate: 8000, Seed: 3}
	lines, err := Plan(voices, o)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for i, line := range lines {
		if len(line.Calls) != 5 {
			t.Fatalf("line %d has %d calls", i, len(line.Calls))
		}
		end := int64(0)
		for n, c := range line.Calls {
			if d := line.Format.Duration(c.End - c.Begin); d < 6*time.Second || d > 9*time.Second {
				t.Errorf("call %d of line %d lasts %v", n, i, d)
			}
			if quiet := line.Format.Duration(c.Begin - end); n > 0 && quiet < 8*time.Second {
				t.Errorf("%v of quiet before call %d of line %d", quiet, n, i)
			}
			end = c.End
			for _, p := range c.Heard {
				if said[p.Value] {
					t.Errorf("%q is said twice", p.Value)
				}
				said[p.Value] = true
			}
		}
	}
	again, err := Plan(voices, o)
	if err != nil || !slices.Equal(again[1].Samples, lines[1].Samples) {
		t.Errorf("the same seed gave another plan (%v)", err)
	}
	both := Interleave(lines...)
	if got := pcm.Pick(nil, both, 2, 1)[:len(lines[1].Samples)]; !slices.Equal(got, lines[1].Samples) {
		t.Error("interleaving changed the second line")
	}
	o.Calls = 100
	if _, err := Plan(voices, o); err == nil {
		t.Error("a plan with more calls than sentences")
	}
}
