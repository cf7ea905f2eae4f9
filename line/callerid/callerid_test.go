package callerid

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
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

func mdmf(number string) []byte {
	return signal.MDMF(signal.Field{Type: 1, Text: "11231752"}, signal.Field{Type: 2, Text: number}, signal.Field{Type: 7, Text: "A. CALLER"})
}

// sent is a message on a line with noise, snr dB below it.
func sent(t signal.Transmission, message []byte, snr float64, seed uint64) []int16 {
	sound := signal.Join(g.Quiet(210*ms), g.FSK(t, message), g.Quiet(250*ms))
	return signal.Samples(signal.AddNoise(sound, signal.NoiseFor(signal.DefaultLevel, snr), seed))
}

func onRing(m signal.Modem) signal.Transmission {
	return signal.Transmission{Modem: m, Seizure: 300, Marks: 180}
}

func TestMessages(t *testing.T) {
	bell, v23 := signal.Bell202(), signal.V23()
	with := func(t signal.Transmission, change func(*signal.Transmission)) signal.Transmission {
		change(&t)
		return t
	}
	for _, tt := range []struct {
		name string
		t    signal.Transmission
		snr  float64
	}{
		{"Bell", onRing(bell), 30},
		{"Bell, 5 dB above noise", onRing(bell), 5},
		{"V.23, 5 dB above noise", onRing(v23), 5},
		{"Bell, 1 % fast", onRing(bell.Scaled(.01)), 6},
		{"V.23, 1 % slow", onRing(v23.Scaled(-.01)), 6},
		{"Bell, mark high and space low", onRing(signal.Modem{Mark: 1212, Space: 2178, Baud: 1200}), 8},
		{"Bell, mark low and space high", onRing(signal.Modem{Mark: 1188, Space: 2222, Baud: 1200}), 8},
		{"Bell, bits 1 % fast", onRing(signal.Modem{Mark: 1200, Space: 2200, Baud: 1212}), 8},
		{"V.23, bits 1 % slow", onRing(signal.Modem{Mark: 1300, Space: 2100, Baud: 1188}), 8},
		{"Bell, space 6 dB fainter", with(onRing(bell), func(t *signal.Transmission) { t.Twist = -6 }), 12},
		{"V.23, space 6 dB louder", with(onRing(v23), func(t *signal.Transmission) { t.Twist = 6 }), 12},
		{"Bell, call waiting", signal.Transmission{Modem: bell, Marks: 80}, 8},
		{"V.23, call waiting, the fewest marks", signal.Transmission{Modem: v23, Marks: 55}, 12},
		{"Bell, both 1 % fast but its bits 1 % slow", onRing(signal.Modem{Mark: 1212, Space: 2222, Baud: 1188}), 10},
		{"Bell, faint", with(onRing(bell), func(t *signal.Transmission) { t.Level = -45 }), 60},
		{"Bell, too loud for the card", with(onRing(bell), func(t *signal.Transmission) { t.Level = 3 }), 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i := range uint64(4) {
				want := mdmf(fmt.Sprint(5550100 + i*7717))
				got := NewReceiver(8000).Feed(sent(tt.t, want, tt.snr, i))
				if len(got) != 1 || !bytes.Equal(got[0].Raw, want) || !got[0].Intact || got[0].Number != fmt.Sprint(5550100+i*7717) {
					t.Errorf("message %d: %v", i, got)
					continue
				}
				begin, length := int64(g.Frames(210*ms)+g.Rate/4*tt.t.Seizure/300), int64(len(g.FSK(tt.t, want)))
				end := int64(g.Frames(210*ms)) + length
				if early := got[0].Position - begin; max(early, -early) > 160 {
					t.Errorf("its marks begin %d frames from where they do", early)
				}
				if late := got[0].Position + got[0].Frames - end; max(late, -late) > 80 {
					t.Errorf("it ends %d frames from where it does", late)
				}
			}
		})
	}
}

// TestStuffed: mark bits between bytes, as many as Bell 202 allows and some exchanges send.
func TestStuffed(t *testing.T) {
	for _, m := range []signal.Modem{signal.Bell202(), signal.V23().Scaled(-.01)} {
		for stuff := range 21 {
			transmission := onRing(m)
			transmission.Stuff = stuff
			want := mdmf(fmt.Sprint(5550100 + stuff*7717))
			if got := NewReceiver(8000).Feed(sent(transmission, want, 8, uint64(stuff))); len(got) != 1 || !bytes.Equal(got[0].Raw, want) || !got[0].Intact {
				t.Errorf("mark at %.0f Hz, %d mark bits between bytes: %v", m.Mark, stuff, got)
			}
		}
	}
}

// TestHum: a hum that is up to 10 dB louder than the message, which is still known to be a waiting caller's.
func TestHum(t *testing.T) {
	for _, m := range []signal.Modem{signal.Bell202(), signal.V23()} {
		for _, louder := range []float64{0, 10} {
			sound := signal.Join(g.Quiet(210*ms), g.Alert(90*ms, signal.DefaultLevel), g.Quiet(200*ms),
				g.FSK(signal.Transmission{Modem: m, Marks: 80}, mdmf("5550100")), g.Quiet(250*ms))
			hum := g.Sines(3*time.Second, []signal.Component{{Hz: 50, Level: signal.DefaultLevel + louder},
				{Hz: 100, Level: signal.DefaultLevel + louder - 20}, {Hz: 150, Level: signal.DefaultLevel + louder - 10}, {Hz: 250, Level: signal.DefaultLevel + louder - 15}})
			got := NewReceiver(8000).Feed(signal.Samples(signal.AddNoise(signal.Mix(sound, 0, hum), -45, 1)))
			if len(got) != 1 || got[0].Number != "5550100" || !got[0].Waiting {
				t.Errorf("mark at %.0f Hz, hum %g dB louder: %v", m.Mark, louder, got)
			}
		}
	}
}

func TestOtherRate(t *testing.T) {
	wide := signal.Generator{Rate: 16000}
	sound := signal.Join(wide.Quiet(300*ms), wide.FSK(onRing(signal.V23()), mdmf("123")), wide.Quiet(300*ms))
	got := NewReceiver(16000).Feed(signal.Samples(signal.AddNoise(sound, -28, 4)))
	if len(got) != 1 || got[0].Number != "123" || got[0].Modem != "V.23" {
		t.Errorf("%v", got)
	}
}

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, raw string
		want      Message
	}{
		{"single, of melabs.com", "04 12 30 39 33 30 31 32 32 34 36 30 39 35 35 35 31 32 31 32 51",
			Message{Form: SDMF, Intact: true, When: "09301224", Number: "6095551212"}},
		{"single, withheld", "04 09 30 39 33 30 31 32 32 34 50 0E",
			Message{Form: SDMF, Intact: true, When: "09301224", NoNumber: Private}},
		{"single, printed with a wrong checksum", "04 09 30 39 33 30 31 32 32 34 50 12", Message{Form: SDMF}},
		{"multiple", hex.EncodeToString(mdmf("0042")),
			Message{Form: MDMF, Intact: true, When: "11231752", Number: "0042", Name: "A. CALLER"}},
		{"multiple, nothing known", hex.EncodeToString(signal.MDMF(signal.Field{Type: 4, Text: "O"}, signal.Field{Type: 8, Text: "P"})),
			Message{Form: MDMF, Intact: true, NoNumber: Unavailable, NoName: Private}},
		{"multiple, a field that goes beyond the end", "80 04 02 05 31 32 12", Message{Form: MDMF, Intact: true}},
		{"too long for its length", "80 02 02 05 31 32 14", Message{Form: MDMF}},
		{"a name that would control a terminal", hex.EncodeToString(signal.MDMF(signal.Field{Type: 7, Text: "\x1b[2J"})),
			Message{Form: MDMF, Intact: true, Name: "?[2J"}},
		{"nothing", "", Message{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw := bytesOf(t, tt.raw)
			got := parse(raw)
			if tt.want.Raw = raw; got.Value() != tt.want.Value() {
				t.Errorf("%s\nwant %s", got.Value(), tt.want.Value())
			}
		})
	}
}

// TestDamaged: what was sent with a wrong checksum has its bytes and nothing else.
func TestDamaged(t *testing.T) {
	raw := mdmf("5550100")
	raw[len(raw)-1] ^= 4
	got := NewReceiver(8000).Feed(sent(onRing(signal.Bell202()), raw, 20, 1))
	if len(got) != 1 || got[0].Intact || got[0].Number != "" || got[0].Name != "" || !bytes.Equal(got[0].Raw, raw) {
		t.Errorf("%+v", got)
	}
}

// TestCutOff: a message that stops half-way is told as damaged, and the next is read.
func TestCutOff(t *testing.T) {
	whole := g.FSK(onRing(signal.Bell202()), mdmf("5550100"))
	sound := signal.Join(g.Quiet(200*ms), whole[:len(whole)-1200], g.Quiet(30*ms),
		g.FSK(signal.Transmission{Modem: signal.Bell202(), Marks: 80}, mdmf("5550100")), g.Quiet(200*ms))
	got := NewReceiver(8000).Feed(signal.Samples(signal.AddNoise(sound, -46, 2)))
	if len(got) != 2 || got[0].Intact || !got[1].Intact {
		t.Fatalf("%v", got)
	}
	// 18 bytes of 33 were cut off; noise may be taken for one.
	if n := len(got[0].Raw); n < 15 || n > 16 || !bytes.HasPrefix(mdmf("5550100"), got[0].Raw[:15]) {
		t.Errorf("of the one that is cut off: %x", got[0].Raw)
	}
}

func TestWaiting(t *testing.T) {
	for _, tt := range []struct {
		name  string
		alert []float64
		want  bool
	}{
		{"alert of 80 ms", g.Alert(80*ms, -18), true},
		{"alert of 110 ms", g.Alert(110*ms, -30), true},
		{"a tone of 300 ms is none", g.Alert(300*ms, -18), false},
		{"no alert", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer := g.Digit('D', 60*ms, signal.Shape{}) // the telephone's
			message := g.FSK(signal.Transmission{Modem: signal.Bell202(), Marks: 80}, mdmf("77"))
			sound := signal.Join(g.Quiet(300*ms), tt.alert, g.Quiet(60*ms), answer, g.Quiet(150*ms), message, g.Quiet(200*ms))
			got := NewReceiver(8000).Feed(signal.Samples(signal.AddNoise(sound, -45, 9)))
			if len(got) != 1 || got[0].Waiting != tt.want || got[0].Number != "77" {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestDetectorAndLoss(t *testing.T) {
	f := pcm.Format{Rate: 8000, Channels: 2}
	d := NewDetector(f)
	line := sent(onRing(signal.Bell202()), mdmf("5550100"), 20, 1)
	both := make([]int16, 0, 2*len(line))
	for _, s := range line {
		both = append(both, s, s/10)
	}
	var marks []call.Mark
	position := int64(700)
	feed := func(samples []int16) {
		for len(samples) > 0 {
			n := min(len(samples), 2*800)
			marks = append(marks, d.Feed(pcm.Period{Format: f, Position: position, Samples: samples[:n]})...)
			position += int64(n / 2)
			samples = samples[n:]
		}
	}
	feed(both)
	if len(marks) != 1 || marks[0].Kind != call.MarkCallerID {
		t.Fatalf("heard on both sides: %v", marks)
	}
	var m Message
	if err := json.Unmarshal([]byte(marks[0].Value), &m); err != nil || m.Number != "5550100" || !bytes.Equal(m.Raw, mdmf("5550100")) {
		t.Errorf("%v, %v", m, err)
	}
	if want := int64(700 + 1680 + 2000); max(marks[0].Position-want, want-marks[0].Position) > 160 {
		t.Errorf("at %d, want %d", marks[0].Position, want)
	}
	marks = nil
	feed(both[:2*6000])
	position += 4000 // lost in the middle of the message
	feed(both)
	if len(marks) != 2 || !strings.Contains(marks[0].Value, `"intact":false`) || !strings.Contains(marks[1].Value, `"intact":true`) {
		t.Errorf("across a loss: %v", marks)
	}
}

func TestGolden(t *testing.T) {
	var got strings.Builder
	for i, m := range []signal.Modem{signal.Bell202(), signal.V23()} {
		line := sent(onRing(m), mdmf("0123456789"), 12, uint64(i))
		for _, m := range NewReceiver(8000).Feed(line) {
			fmt.Fprintf(&got, "%d %d %s\n", m.Position, m.Frames, m.Value())
		}
	}
	golden.Check(t, got.String())
}

// FuzzReceiver: whatever is fed, in whatever pieces, the messages are the same and lie in what was fed.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint16(7))
	f.Add(pcm.AppendBytes(nil, sent(signal.Transmission{Modem: signal.V23(), Marks: 80}, signal.SDMF("11231752", "1"), 20, 1)), uint16(100))
	f.Fuzz(func(t *testing.T, data []byte, piece uint16) {
		samples := make([]int16, len(data)/2)
		for i := range samples {
			samples[i] = int16(data[2*i]) | int16(data[2*i+1])<<8
		}
		whole, parts := NewReceiver(8000), NewReceiver(8000)
		var want, got []string
		tell := func(list []string, messages []Message) []string {
			for _, m := range messages {
				if m.Frames <= 0 || m.Position < 0 || m.Position+m.Frames > int64(len(samples)) {
					t.Errorf("a message at %d, %d frames long, of %d", m.Position, m.Frames, len(samples))
				}
				list = append(list, fmt.Sprint(m.Position, m.Frames, m.Value()))
			}
			return list
		}
		want = tell(want, whole.Feed(samples))
		for rest := samples; len(rest) > 0; {
			n := min(len(rest), int(piece)+1)
			got = tell(got, parts.Feed(rest[:n]))
			rest = rest[n:]
		}
		if want, got = tell(want, whole.Lost(5)), tell(got, parts.Lost(5)); !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: %v, at once: %v", int(piece)+1, got, want)
		}
	})
}

// FuzzParse: no bytes make it fail, and what is not intact says nothing.
func FuzzParse(f *testing.F) {
	f.Add(mdmf("1"))
	f.Add(signal.SDMF("11231752", "P"))
	f.Add([]byte{0x80, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := parse(raw)
		if !bytes.Equal(m.Raw, raw) {
			t.Errorf("raw %x of %x", m.Raw, raw)
		}
		if !m.Intact && m.Number+m.Name+m.When+m.NoNumber+m.NoName+m.Dialled+m.Redirect != "" {
			t.Errorf("a damaged one says %s", m.Value())
		}
		var back Message
		if err := json.Unmarshal([]byte(m.Value()), &back); err != nil || back.Value() != m.Value() {
			t.Errorf("%s comes back as %s: %v", m.Value(), back.Value(), err)
		}
	})
}

func TestIdleAllocatesNothing(t *testing.T) {
	d := NewDetector(pcm.Format{Rate: 8000, Channels: 1})
	p := pcm.Period{Format: d.format, Samples: signal.Samples(signal.AddNoise(g.Quiet(time.Second), -50, 1))}
	if n := testing.AllocsPerRun(5, func() {
		d.Feed(p)
		p.Position += int64(p.Frames())
	}); n > 0 {
		t.Errorf("%v allocations a second of an idle line", n)
	}
}

func BenchmarkIdle(b *testing.B) {
	benchmark(b, signal.Samples(signal.AddNoise(g.Quiet(time.Second), -60, 1)))
}

func BenchmarkMessage(b *testing.B) {
	benchmark(b, sent(onRing(signal.Bell202()), mdmf("5550100"), 20, 1))
}

// benchmark reports what a second of a line costs.
func benchmark(b *testing.B, samples []int16) {
	r := NewReceiver(8000)
	b.ReportAllocs()
	for b.Loop() {
		r.Feed(samples)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(float64(len(samples))/8000), "ns/line-s")
}

func ExampleReceiver() {
	// In place of a line: a message, made by the lab, in a little noise.
	line := sent(onRing(signal.Bell202()), mdmf("5550100"), 20, 1)

	r := NewReceiver(8000)
	for len(line) > 0 {
		n := min(len(line), 160) // a period of 20 ms
		for _, m := range r.Feed(line[:n]) {
			fmt.Println(m.Intact, m.Number, m.Name, m.When)
		}
		line = line[n:]
	}
	// Output: true 5550100 A. CALLER 11231752
}
