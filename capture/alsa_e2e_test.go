//go:build e2e

package capture

import (
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/linesim"
)

// openerOf opens a simulated card.
func openerOf(t *testing.T, card linesim.Card) *alsaOpener {
	t.Helper()
	dir := t.TempDir()
	card.File = dir + "/audio.raw"
	if err := linesim.WriteSamples(card.File, noise(8000)); err != nil {
		t.Fatal(err)
	}
	sim, err := linesim.Install(t.Context(), dir, card)
	if err != nil {
		t.Fatal(err)
	}
	name, value, _ := strings.Cut(sim.Env(), "=")
	t.Setenv(name, value)
	return &alsaOpener{cfg: Config{Device: card.Name, Lines: []LineConfig{{"a", []int{0}}}}.withDefaults()}
}

// TestAudioComesWithoutAGoCallback notices a miniaudio whose device looks different from what feed.c expects: capturing
// would go on, at twice the cost.
func TestAudioComesWithoutAGoCallback(t *testing.T) {
	o := openerOf(t, linesim.Card{Name: "line", Rate: 8000, Channels: 1})
	d, err := o.open()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.wait(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if d.queue().feed.attached == 0 {
		t.Error("the data callback is malgo's")
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
	d.queue().free()
}

// TestNothingStaysOpenWhereOpeningFails: miniaudio fails after it has opened the card, with a resampler that it does not
// have, and forgets the card.
func TestNothingStaysOpenWhereOpeningFails(t *testing.T) {
	o := openerOf(t, linesim.Card{Name: "leak", Rate: 8000, Channels: 1, Control: true})
	for range 3 {
		d, err := o.open()
		if err != nil {
			t.Fatal(err)
		}
		if err := d.(*alsaDevice).abandon(); err != nil {
			t.Fatal(err)
		}
		audio, err := newQueue(bootTime)
		if err != nil {
			t.Fatal(err)
		}
		failing := &alsaDevice{opener: o, audio: audio}
		ask := failing.ask(conversion{rate: 16000})
		ask.Resampling.Algorithm = 1 // a custom one
		if err := failing.init(ask); err == nil {
			t.Error("miniaudio did not fail")
		}
		audio.free()
	}
}
