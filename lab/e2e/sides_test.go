//go:build e2e

package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/linesim"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
)

// TestTwoSides records the two sides of one line from a stereo card: they are apart at headquarters, each as it was
// played.
func TestTwoSides(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	plan := phone.PlanOptions{Lines: 1, Calls: 1, Rate: lineRate, Apart: true, Pause: 6 * time.Second, Seed: 5}
	audio := must(phone.Plan(must(phone.FindVoices())(t), plan))(t)[0]
	file := filepath.Join(dir, "line.raw")
	if err := linesim.WriteSamples(file, audio.Samples); err != nil {
		t.Fatal(err)
	}
	sim := must(linesim.Install(t.Context(), filepath.Join(dir, "alsa"), linesim.Card{Name: "tap", File: file, Rate: lineRate, Channels: 2}))(t)
	head := headquarters(t, dir, nil)
	office := recorder(t, dir, head, station.RecorderOptions{
		Lines:    []station.Line{{Name: "line 1", Device: "tap", Channels: []int{0, 1}, Sides: []string{"agent", "caller"}}},
		HangOver: "3s", Codec: string(call.Opus), Order: []string{"https"}, Env: []string{sim.Env()},
	})
	start(t, head.Start)
	await(t, start(t, office.Start), 1, "delivered", 60*time.Second)

	found := calls(t, head)
	if len(found) != 1 || found[0].Channels != 2 || len(found[0].Sides) != 2 || found[0].Sides[1] != "caller" {
		t.Fatalf("at headquarters: %+v", found)
	}
	format, sides := decoded(t, head, callFile(t, head, found[0].ID))
	if format.Rate != lineRate || len(sides) != 2 {
		t.Fatalf("its audio is %+v", format)
	}
	begin := int(audio.Calls[0].Begin)
	for mine := range sides {
		for theirs := range sides {
			got, err := phone.Compare(side(audio, theirs, lineRate), sides[mine], lineRate, begin-4*lineRate, begin+lineRate)
			if err != nil {
				t.Fatal(err)
			}
			if same := mine == theirs; same != (got.Correlation > 0.9) || !same && got.Correlation > 0.3 {
				t.Errorf("side %d beside what was played on side %d: %+v", mine, theirs, got)
			}
		}
	}
}
