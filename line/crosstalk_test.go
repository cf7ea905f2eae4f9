package line

import (
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

// words are spoken with pauses, in which a line's noise is heard.
func words(seconds, level float64) (all []int16) {
	for n := range uint64(seconds / 1.2) {
		all = join(all, speech(n, 0.5, level), silence(0.7))
	}
	return all
}

// TestCrosstalk: of a line that has had calls it is known how loud their voices are, and how its noise changes when the
// handset is lifted. What is much fainter, while the handset is not lifted, is the line beside it.
func TestCrosstalk(t *testing.T) {
	own := join(noise(1, 20, -70), add(speech(1, 40, -12), noise(2, 40, -56)), noise(3, 20, -70))
	for _, tt := range []struct {
		name  string
		then  []int16
		calls int
	}{
		{"the line beside", add(words(30, -45), noise(4, 30, -70)), 2},
		{"a faint call of its own", add(words(30, -32), noise(4, 30, -70)), 3},
		{"as faint as the line beside, with the handset lifted", add(words(30, -45), noise(4, 30, -56)), 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := DefaultConfig()
			samples := join(own, own, tt.then, noise(5, 40, -70))
			if found := calls(t, listen(t, cfg, mono, samples, 800), rate); len(found) != tt.calls {
				t.Errorf("found %+v, want %d", found, tt.calls)
			}
		})
	}
}

// TestAWordAndThenAPause: who has answered with a word is waited for, whatever the line beside has meanwhile, and while a
// notice says that the other end records.
func TestAWordAndThenAPause(t *testing.T) {
	samples := join(silence(5), bellRing(1, -10), silence(4), bellRing(1, -10), silence(1), speech(1, 0.25, -22), silence(18), speech(2, 6, -22), silence(40))
	samples = add(samples, noise(1, 80, -60))
	for name, m := range map[string]call.Mark{
		"nothing":                       {},
		"dial tone of the line beside":  {Kind: call.MarkTone, Value: "dial", Position: 25 * rate, Frames: rate},
		"caller ID for the line beside": {Kind: call.MarkCallerID, Value: `{"intact":true,"number":"1"}`, Position: 25 * rate, Frames: rate},
		"recording notice":              {Kind: call.MarkTone, Value: "notice", Position: 25 * rate, Frames: rate},
	} {
		cfg := fiveSeconds()
		if m.Kind != "" {
			cfg.Detectors.Tones = &script{m}
		}
		if found := calls(t, listen(t, cfg, mono, samples, 800), rate); len(found) != 1 || found[0].began != call.BeganRing {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
