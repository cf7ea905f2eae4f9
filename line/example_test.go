package line_test

import (
	"fmt"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/signal"
	"github.com/linekeeper/linekeeper/line"
	"github.com/linekeeper/linekeeper/line/dtmf"
	"github.com/linekeeper/linekeeper/pcm"
)

// A number is keyed, nobody answers, and the handset is put back: without a hook, the line finds out by itself.
func ExampleLine() {
	const rate = 8000
	g := signal.Generator{Rate: rate}
	sound := signal.Join(g.Quiet(3*time.Second), g.Digits("0771", 100*time.Millisecond, 100*time.Millisecond, signal.Shape{}), g.Quiet(5*time.Minute))

	format := pcm.Format{Rate: rate, Channels: 1}
	cfg := line.DefaultConfig()
	cfg.Detectors.Digits = dtmf.NewDetector(format)
	l := line.New(cfg, format)
	const period = rate / 5
	samples := signal.Samples(sound)
	for at := 0; at+period <= len(samples); at += period {
		for _, e := range l.Feed(pcm.Period{Format: format, Position: int64(at), Samples: samples[at : at+period]}) {
			seconds := float64(e.Position) / rate
			switch e.Kind {
			case call.EventBegan:
				fmt.Printf("%.1f s: began: %s\n", seconds, e.Reason)
			case call.EventEnded:
				fmt.Printf("%.1f s: ended: %s, short: %t\n", seconds, e.Reason, e.Short)
			case call.EventMark:
				fmt.Printf("%.1f s: %s %s\n", seconds, e.Mark.Kind, e.Mark.Value)
			}
		}
	}
	// Output:
	// 1.1 s: began: digits
	// 3.1 s: digits 0
	// 3.3 s: digits 7
	// 3.5 s: digits 7
	// 3.7 s: digits 1
	// 3.1 s: dialled 0771
	// 4.8 s: ended: silence, short: true
}
