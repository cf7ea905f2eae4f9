package tone

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/golden"
	"github.com/linekeeper/linekeeper/lab/signal"
	"github.com/linekeeper/linekeeper/pcm"
)

const ms = time.Millisecond

var g = signal.Generator{Rate: 8000}

func builtIn(t testing.TB) Table {
	t.Helper()
	table, err := BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// sound is a form as an exchange sends it, as often as it takes to be certain.
func sound(g signal.Generator, f Form, level float64) []float64 {
	if len(f.Times) == 0 {
		return g.Cadence(1, level, f.Hz, 4*time.Second)
	}
	rounds := 2
	if len(f.Times) == 2 {
		rounds = 5
	}
	return g.Cadence(rounds, level, f.Hz, f.Times...)
}

func hear(forms []Form, sound []float64, noise float64, seed uint64) []Tone {
	all := signal.Join(g.Quiet(700*ms), sound, g.Quiet(500*ms))
	return NewReceiver(forms, 8000).Feed(signal.Samples(signal.AddNoise(all, noise, seed)))
}

// TestWholeCountries: all four tones of many countries are known, of Africa and South Asia too.
func TestWholeCountries(t *testing.T) {
	table, whole := builtIn(t), map[string]bool{}
	for _, country := range table.Countries() {
		whole[country] = true
		for _, kind := range []Kind{Dial, RingBack, Busy, Reorder} {
			whole[country] = whole[country] && len(table.of(country, kind)) > 0
		}
		if !whole[country] {
			delete(whole, country)
		}
	}
	if len(whole) < 40 {
		t.Errorf("%d countries have all four tones", len(whole))
	}
	for _, country := range []string{"bw", "gh", "ke", "na", "ng", "tn", "tz", "ug", "za", "zm", "in", "lk", "mv", "np"} {
		if !whole[country] {
			t.Errorf("%s lacks a tone", country)
		}
	}
}

// TestEveryCountry: every form of the table is heard as what it is, and nothing else.
func TestEveryCountry(t *testing.T) {
	table := builtIn(t)
	if n := len(table); n < 60 {
		t.Errorf("%d countries", n)
	}
	for _, country := range table.Countries() {
		for i, f := range table[country] {
			if testing.Short() && len(f.Times) == 2 && len(table[country]) > 2 {
				continue
			}
			found := hear(table[country], sound(g, f, -20), -30, uint64(i))
			if len(found) != 1 || found[0].Kind != f.Kind || max(found[0].Begin-5600, 5600-found[0].Begin) > 160 {
				t.Errorf("%s: %s of %v Hz, %v: heard %v", country, f.Kind, f.Hz, f.Times, found)
			}
		}
	}
}

func TestTolerance(t *testing.T) {
	us, de := builtIn(t)["us"], builtIn(t)["de"]
	times := func(seconds ...float64) (d []time.Duration) {
		for _, s := range seconds {
			d = append(d, time.Duration(s*float64(time.Second)))
		}
		return d
	}
	for _, tt := range []struct {
		name  string
		forms []Form
		sound []float64
		noise float64
		want  string
	}{
		{"busy, short", us, g.Cadence(5, -20, []float64{480, 620}, times(.4, .4)...), -60, "busy"},
		{"busy, long", us, g.Cadence(5, -20, []float64{480, 620}, times(.58, .58)...), -60, "busy"},
		{"reorder, short", us, g.Cadence(5, -20, []float64{480, 620}, times(.19, .19)...), -60, "reorder"},
		{"neither", us, g.Cadence(8, -20, []float64{480, 620}, times(.35, .35)...), -60, ""},
		{"ring-back, short", us, g.Cadence(3, -20, []float64{440, 480}, times(1.68, 3.38)...), -60, "ring-back"},
		{"ring-back, long", us, g.Cadence(3, -20, []float64{440, 480}, times(2.32, 4.62)...), -60, "ring-back"},
		{"frequencies of another country", us, g.Cadence(6, -20, []float64{425}, times(.5, .5)...), -60, ""},
		{"15 Hz high", de, g.Cadence(6, -20, []float64{440}, times(.48, .48)...), -60, "busy"},
		{"15 Hz low", de, g.Cadence(6, -20, []float64{410}, times(.48, .48)...), -60, "busy"},
		{"40 Hz high", de, g.Cadence(6, -20, []float64{465}, times(.48, .48)...), -60, ""},
		{"faint", de, g.Cadence(6, -48, []float64{425}, times(.48, .48)...), -70, "busy"},
		{"5 dB above noise", de, g.Cadence(6, -20, []float64{425}, times(.48, .48)...), -25, "busy"},
		{"a short beep", de, g.Cadence(1, -20, []float64{425}, times(.9)...), -60, ""},
		{"two bursts only", de, g.Cadence(2, -20, []float64{425}, times(.48, .48)...), -60, ""},
		{"uneven", de, g.Cadence(4, -20, []float64{425}, times(.48, .2, .3, .7)...), -60, ""},
		{"in hum", de, signal.Mix(g.Cadence(6, -20, []float64{425}, times(.48, .48)...), 0, g.Cadence(1, -22, []float64{50, 150}, 6*time.Second)), -60, "busy"},
		{"cut by the handset", de, g.Cadence(1, -20, []float64{425}, times(3)...), -60, "dial"},
		{"digits", de, g.Digits("1234567890", 480*ms, 480*ms, signal.Shape{}), -60, ""},
		{"ring-back, then busy", us, signal.Join(g.Cadence(3, -20, []float64{440, 480}, times(2, 4)...), g.Cadence(5, -20, []float64{480, 620}, times(.5, .5)...)), -60, "ring-back busy"},
		{"ring-back, then busy of the same frequency", de, signal.Join(g.Cadence(3, -20, []float64{425}, times(1, 4)...), g.Cadence(5, -20, []float64{425}, times(.48, .48)...)), -60, "ring-back busy"},
		{"dial tone, then busy of the same frequency", de, signal.Join(g.Cadence(1, -20, []float64{425}, times(5, .48)...), g.Cadence(5, -20, []float64{425}, times(.48, .48)...)), -60, "dial busy"},
		{"busy, then dial tone", de, signal.Join(g.Cadence(5, -20, []float64{425}, times(.48, .48)...), g.Cadence(1, -20, []float64{425}, times(4)...)), -60, "busy dial"},
		{"busy for a minute", de, g.Cadence(62, -20, []float64{425}, times(.48, .48)...), -60, "busy"},
		{"busy twice, with quiet between", de, signal.Join(g.Cadence(5, -20, []float64{425}, times(.48, .48)...), g.Quiet(8*time.Second), g.Cadence(5, -20, []float64{425}, times(.48, .48)...)), -60, "busy busy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range hear(tt.forms, tt.sound, tt.noise, 3) {
				got = append(got, string(f.Kind))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("heard %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNotice(t *testing.T) {
	beep := func(hz float64, long, pause time.Duration, times int) (s []float64) {
		return g.Cadence(times, -24, []float64{hz}, long, pause)
	}
	for _, tt := range []struct {
		name  string
		sound []float64
		want  int
	}{
		{"FS-1037", beep(1400, 500*ms, 14500*ms, 3), 3},
		{"short, often, low", beep(1270, 200*ms, 11800*ms, 4), 4},
		{"once", beep(1400, 500*ms, 14500*ms, 1), 0},
		{"too often", beep(1400, 500*ms, 4*time.Second, 6), 0},
		{"too long", beep(1400, 900*ms, 14*time.Second, 3), 0},
		{"too high", beep(1600, 500*ms, 14500*ms, 3), 0},
		{"another pitch each time", signal.Join(beep(1300, 500*ms, 14500*ms, 1), beep(1400, 500*ms, 14500*ms, 1), beep(1500, 500*ms, 14500*ms, 1)), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := hear(nil, tt.sound, -50, 1)
			for i, f := range found {
				if f.Kind != Notice || i > 0 && f.Begin <= found[i-1].Begin {
					t.Errorf("heard %v", found)
				}
			}
			if len(found) != tt.want {
				t.Errorf("heard %v, want %d", found, tt.want)
			}
			if len(found) > 0 && max(found[0].Begin-5600, 5600-found[0].Begin) > 160 {
				t.Errorf("the first began at 5600: %v", found[0])
			}
		})
	}
}

// TestSetNotice: what a site's recorders send is heard, and the usual is not, where that is set.
func TestSetNotice(t *testing.T) {
	form := NoticeForm{
		Hz:      [2]float64{1200, 1230},
		Length:  [2]time.Duration{800 * ms, time.Second},
		Spacing: [2]time.Duration{4 * time.Second, 6 * time.Second},
	}
	if err := form.Check(); err != nil {
		t.Fatal(err)
	}
	d := NewDetector(nil, pcm.Format{Rate: 8000, Channels: 1})
	d.SetNotice(form)
	sound := signal.Join(g.Cadence(3, -24, []float64{1215}, 900*ms, 4100*ms), g.Cadence(3, -24, []float64{1400}, 500*ms, 14500*ms))
	var positions []int64
	for _, m := range d.Feed(pcm.Period{Format: d.format, Samples: signal.Samples(signal.AddNoise(sound, -50, 1))}) {
		positions = append(positions, (m.Position+400)/800)
	}
	if fmt.Sprint(positions) != "[0 50 100]" {
		t.Errorf("heard at %v tenths of a second", positions)
	}
	for _, change := range []func(*NoticeForm){
		func(n *NoticeForm) { n.Hz[0] = 1000 },
		func(n *NoticeForm) { n.Hz[1] = math.NaN() },
		func(n *NoticeForm) { n.Length[0] = 80 * ms },
		func(n *NoticeForm) { n.Length[1] = 700 * ms },
		func(n *NoticeForm) { n.Spacing[0] = time.Second },
		func(n *NoticeForm) { n.Spacing[1] = time.Hour },
	} {
		wrong := form
		if change(&wrong); wrong.Check() == nil {
			t.Errorf("%v can be heard", wrong)
		}
	}
	if err := DefaultNotice().Check(); err != nil {
		t.Error(err)
	}
}

// TestMelody: notes of one length among which are those of tones.
func TestMelody(t *testing.T) {
	table := builtIn(t)
	var all []Form
	for _, c := range table.Countries() {
		all = append(all, table[c]...)
	}
	notes := []float64{392, 440, 494, 523, 440, 392, 440, 440, 587, 523, 494, 440}
	var tune []float64
	for i := range 120 {
		note := g.Sines(420*ms, []signal.Component{
			{Hz: notes[i%len(notes)], Level: -22}, {Hz: 2 * notes[i%len(notes)], Level: -30}, {Hz: 3 * notes[i%len(notes)], Level: -36},
		})
		tune = signal.Join(tune, note, g.Quiet(80*ms))
	}
	if found := hear(all, tune, -60, 1); len(found) > 0 {
		t.Errorf("in a melody: %v", found)
	}
}

func TestOtherRate(t *testing.T) {
	wide := signal.Generator{Rate: 16000}
	forms := builtIn(t)["gb"]
	for _, f := range forms {
		all := signal.Join(wide.Quiet(700*ms), sound(wide, f, -20), wide.Quiet(500*ms))
		found := NewReceiver(forms, 16000).Feed(signal.Samples(signal.AddNoise(all, -40, 1)))
		if len(found) != 1 || found[0].Kind != f.Kind || max(found[0].Begin-11200, 11200-found[0].Begin) > 320 {
			t.Errorf("%s: heard %v", f.Kind, found)
		}
	}
}

// TestBesideAnotherLine: the ring-back of the line beside, 30 dB down, runs into this one's. Together they are as long as a
// dial tone of the same pitch.
func TestBesideAnotherLine(t *testing.T) {
	own := func(on ...time.Duration) []float64 { return g.Cadence(1, -20, []float64{425}, on...) }
	beside := g.Cadence(1, -50, []float64{425}, 700*ms)
	one := signal.Join(beside, own(time.Second, 4*time.Second))
	all := signal.Join(g.Quiet(time.Second), own(time.Second, 3300*ms), one, one)
	for _, tone := range NewReceiver(builtIn(t)["br"], 8000).Feed(signal.Samples(signal.AddNoise(all, -56, 3))) {
		if tone.Kind == Dial {
			t.Errorf("heard %v", tone)
		}
	}
}

// TestDetector: two sides, of which one hears the other's tones; and a loss, over which nothing is put together.
func TestDetector(t *testing.T) {
	f := pcm.Format{Rate: 8000, Channels: 2}
	d := NewDetector(builtIn(t)["de"], f)
	one := signal.Samples(signal.Join(g.Quiet(500*ms), g.Cadence(2, -20, []float64{425}, 480*ms, 480*ms)))
	var got []call.Mark
	position := int64(9000)
	feed := func(samples []int16) {
		both := make([]int16, 0, 2*len(samples))
		for _, s := range samples {
			both = append(both, s/8, s)
		}
		for len(both) > 0 {
			n := min(len(both), 2*700)
			got = append(got, d.Feed(pcm.Period{Format: f, Position: position, Samples: both[:n]})...)
			position += int64(n / 2)
			both = both[n:]
		}
	}
	feed(one)
	position += 100 // lost
	feed(one[4000:])
	if len(got) > 0 {
		t.Errorf("two bursts, a loss, two bursts: %v", got)
	}
	position += 8000
	begin := position + 4000
	feed(append(one, one[4000:]...))
	if len(got) != 1 || got[0].Kind != call.MarkTone || got[0].Value != "busy" || max(got[0].Position-begin, begin-got[0].Position) > 160 {
		t.Errorf("%v, want busy at %d", got, begin)
	}
}

func TestExtend(t *testing.T) {
	table := Table{}
	if err := table.Extend([]byte("[ke]\ndial = [\"400\"]\nring-back = [\"425: 0.67 3 1.5 5\"]\nbusy = [\"425: 0.5 0.5\"]\n")); err != nil {
		t.Fatal(err)
	}
	if err := table.Extend([]byte("[ke]\nbusy = [\"425: 0.2 0.6\"]\n[xx]\ndial = [\"500+600\"]\n")); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(table["ke"]); got != "[{dial [400] []} {ring-back [425] [670ms 3s 1.5s 5s]} {busy [425] [200ms 600ms]}]" {
		t.Errorf("Kenya: %s", got)
	}
	if got := fmt.Sprint(table["xx"]); got != "[{dial [500 600] []}]" {
		t.Errorf("a new country: %s", got)
	}
	for _, tt := range []struct{ data, want string }{
		{"[ke]\nbussy = []", "nothing else"},
		{"[kenya]\nbusy = []", `"kenya" is no country`},
		{"[ke]\nbusy = [\"1425: 1 1\"]", `busy of [ke]: "1425: 1 1": "1425" is no frequency from 300 to 650 Hz`},
		{"[ke]\nbusy = [\"425: 1 x\"]", `"x" is no time`},
		{"[ke]\nbusy = [\"425: 1\"]", "on and off in turns"},
		{"[ke]\nbusy = [\"425: NaN 1\"]", "is no time"},
		{"[ke", "read tones"},
	} {
		before := fmt.Sprint(table)
		if err := table.Extend([]byte(tt.data)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.data, err, tt.want)
		}
		if fmt.Sprint(table) != before {
			t.Errorf("%q has changed the table", tt.data)
		}
	}
}

// TestExampleOfTheGuide: the file of tones that the operator guide shows can be read, and its tones are heard.
func TestExampleOfTheGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/operator-guide.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(guide), "`/etc/linekeeper/tones.toml`:\n\n")
	example, _, found := strings.Cut(example, "\n\n**")
	if !found {
		t.Fatal("the guide shows no file of tones")
	}
	table := builtIn(t)
	before := fmt.Sprint(table.of("ke", RingBack))
	if err := table.Extend([]byte(example)); err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprint(table.of("ke", RingBack)); after != before {
		t.Errorf("what the file does not give has changed from %s to %s", before, after)
	}
	for _, country := range []string{"ke", "so"} {
		for _, f := range table.of(country, Busy) {
			if heard := hear(table[country], sound(g, f, -20), -30, 1); len(heard) != 1 || heard[0].Kind != Busy {
				t.Errorf("%s: busy of %v Hz, %v: heard %v", country, f.Hz, f.Times, heard)
			}
		}
	}
}

func TestGolden(t *testing.T) {
	var got strings.Builder
	table := builtIn(t)
	for _, country := range []string{"us", "gb", "in", "ke", "it"} {
		var all []float64
		for _, f := range table[country] {
			all = signal.Join(all, sound(g, f, -20), g.Quiet(6*time.Second))
		}
		for _, f := range hear(table[country], all, -45, 1) {
			fmt.Fprintf(&got, "%s %s %d %d\n", country, f.Kind, f.Begin, f.Frames)
		}
	}
	golden.Check(t, got.String())
}

// FuzzReceiver: whatever is fed, in whatever pieces, the tones are the same and lie in what was fed.
func FuzzReceiver(f *testing.F) {
	forms := builtIn(f)["de"]
	f.Add([]byte{1, 2, 3}, uint16(7))
	f.Add(pcm.AppendBytes(nil, signal.Samples(g.Cadence(4, -20, []float64{425}, 480*ms, 480*ms))), uint16(100))
	f.Fuzz(func(t *testing.T, data []byte, piece uint16) {
		samples := make([]int16, len(data)/2)
		for i := range samples {
			samples[i] = int16(data[2*i]) | int16(data[2*i+1])<<8
		}
		whole, parts := NewReceiver(forms, 8000), NewReceiver(forms, 8000)
		want := slices.Clone(whole.Feed(samples))
		var got []Tone
		for rest := samples; len(rest) > 0; {
			n := min(len(rest), int(piece)+1)
			got = append(got, parts.Feed(rest[:n])...)
			rest = rest[n:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: %v, at once: %v", int(piece)+1, got, want)
		}
		for _, one := range got {
			if one.Begin < 0 || one.Frames < 0 || one.Begin+one.Frames > int64(len(samples)) {
				t.Errorf("%v of %d frames", got, len(samples))
			}
		}
	})
}

// FuzzExtend: no file makes it fail other than by an error, which leaves the table as it was.
func FuzzExtend(f *testing.F) {
	f.Add([]byte("[ke]\nbusy = [\"425: 0.2 0.6\"]\n"))
	f.Add(slices.Clone(data))
	f.Fuzz(func(t *testing.T, data []byte) {
		table := Table{"ke": {{Kind: Busy, Hz: []float64{425}}}}
		before := fmt.Sprint(table)
		if err := table.Extend(data); err != nil && fmt.Sprint(table) != before {
			t.Errorf("an error has changed the table: %v", err)
		}
		for country, forms := range table {
			NewReceiver(forms, 8000)
			for _, one := range forms {
				if len(one.Hz) == 0 || len(one.Times)%2 != 0 {
					t.Errorf("%s: %v", country, one)
				}
			}
		}
	})
}

func TestIdleAllocatesNothing(t *testing.T) {
	d := NewDetector(builtIn(t)["us"], pcm.Format{Rate: 8000, Channels: 1})
	p := pcm.Period{Format: d.format, Samples: signal.Samples(signal.AddNoise(g.Quiet(time.Second), -50, 1))}
	if n := testing.AllocsPerRun(5, func() {
		d.Feed(p)
		p.Position += int64(p.Frames())
	}); n > 0 {
		t.Errorf("%v allocations a second of an idle line", n)
	}
}

func BenchmarkIdle(b *testing.B) { benchmark(b, signal.AddNoise(g.Quiet(2*time.Second), -66, 1)) }
func BenchmarkBusy(b *testing.B) {
	benchmark(b, g.Cadence(2, -20, []float64{480, 620}, 500*ms, 500*ms))
}

// benchmark reports what a second of a line costs.
func benchmark(b *testing.B, sound []float64) {
	samples := signal.Samples(sound)
	r := NewReceiver(builtIn(b)["us"], 8000)
	b.ReportAllocs()
	for b.Loop() {
		r.Feed(samples)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(float64(len(samples))/8000), "ns/line-s")
}

func ExampleReceiver() {
	tones, err := BuiltIn()
	if err != nil {
		panic(err)
	}
	// In place of a line: nobody is at home in London, made by the lab.
	line := signal.Samples(g.Cadence(2, -20, []float64{400, 450}, 400*ms, 200*ms, 400*ms, 2*time.Second))

	r := NewReceiver(tones["gb"], 8000)
	for len(line) > 0 {
		n := min(len(line), 160) // a period of 20 ms
		for _, t := range r.Feed(line[:n]) {
			fmt.Println(t.Kind)
		}
		line = line[n:]
	}
	// Output: ring-back
}
