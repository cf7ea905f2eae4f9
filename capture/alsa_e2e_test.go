//go:build e2e

package capture

import (
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/linesim"
)

// TestAudioComesWithoutAGoCallback notices a miniaudio whose device looks different from what feed.c expects: capturing
// would go on, at twice the cost.
func TestAudioComesWithoutAGoCallback(t *testing.T) {
	dir := t.TempDir()
	if err := linesim.WriteSamples(dir+"/audio.raw", noise(8000)); err != nil {
		t.Fatal(err)
	}
	sim, err := linesim.Install(t.Context(), dir, linesim.Card{Name: "line", File: dir + "/audio.raw", Rate: 8000, Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	name, value, _ := strings.Cut(sim.Env(), "=")
	t.Setenv(name, value)
	o := &alsaOpener{cfg: Config{Device: "line", Lines: []LineConfig{{"a", []int{0}}}}.withDefaults()}
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
