package line_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/golden"
	"github.com/linekeeper/linekeeper/lab/signal"
	"github.com/linekeeper/linekeeper/line"
	"github.com/linekeeper/linekeeper/line/callerid"
	"github.com/linekeeper/linekeeper/line/dtmf"
	"github.com/linekeeper/linekeeper/line/tone"
	"github.com/linekeeper/linekeeper/pcm"
)

// TestGolden: everything that a line of Germany makes known in ten minutes, to the frame.
func TestGolden(t *testing.T) {
	const rate, ms, level = 8000, time.Millisecond, -18.0
	g := signal.Generator{Rate: rate}
	ring := func(n int) []float64 { return g.Cadence(n, -10, []float64{25}, time.Second, 4*time.Second) }
	talk := func(seconds int) []float64 { // as loud and as broken as a voice, and on no tone's frequency
		return g.Cadence(4*seconds, level, []float64{233, 466, 699, 1165, 1631}, 170*ms, 80*ms)
	}
	caller := g.FSK(signal.Transmission{Modem: signal.V23(), Seizure: 300, Marks: 180}, signal.SDMF("11270915", "4930123456"))
	busy := g.Cadence(8, -22, []float64{425}, 480*ms, 480*ms)
	dial := g.Cadence(1, -22, []float64{425}, 2*time.Second)
	sound := signal.Join(
		g.Quiet(10*time.Second), ring(1), caller, g.Quiet(2*time.Second), ring(2), talk(20), g.Quiet(8*time.Second), talk(12), busy, g.Quiet(40*time.Second), // in
		dial, g.Digits("030987", 80*ms, 80*ms, signal.Shape{}), g.Quiet(3*time.Second), g.Cadence(3, -22, []float64{425}, time.Second, 4*time.Second), talk(15), busy, g.Quiet(60*time.Second), // out
		ring(4), g.Quiet(60*time.Second), // missed
		ring(2), g.Cadence(1, level, []float64{466, 699}, 200*ms, 12*time.Second), talk(12), g.Quiet(40*time.Second), // somebody says a word, and listens
		talk(1), g.Quiet(time.Second), // too little, but for a call with nothing else
		signal.Gain(signal.Join(caller, talk(10)), -45), g.Quiet(30*time.Second), // the line beside
	)
	table, err := tone.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	format := pcm.Format{Rate: rate, Channels: 1}
	cfg := line.DefaultConfig()
	cfg.HangOver = 30 * time.Second
	cfg.Detectors = line.Detectors{Digits: dtmf.NewDetector(format), CallerID: callerid.NewDetector(format), Tones: tone.NewDetector(table["de"], format)}
	l := line.New(cfg, format)
	var got strings.Builder
	const period = rate / 50
	samples := signal.Samples(signal.AddNoise(sound, -58, 1))
	for at := 0; at+period <= len(samples); at += period {
		for _, e := range l.Feed(pcm.Period{Format: format, Position: int64(at), Samples: samples[at : at+period]}) {
			fmt.Fprintf(&got, "%d ", e.Position)
			switch e.Kind {
			case call.EventBegan:
				fmt.Fprintf(&got, "began: %s\n", e.Reason)
			case call.EventEnded:
				fmt.Fprintf(&got, "ended: %s, short: %t\n", e.Reason, e.Short)
			case call.EventMark:
				fmt.Fprintf(&got, "%s, %d frames: %s\n", e.Mark.Kind, e.Mark.Frames, e.Mark.Value)
			default:
				fmt.Fprintf(&got, "%+v\n", e)
			}
		}
	}
	golden.Check(t, got.String())
}
