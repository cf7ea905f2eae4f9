//go:build qemu

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/pcm"
)

// TestReplayOnARM64 replays three calls of real speech with the arm64 build under QEMU's user emulation: it finds them,
// with every codec, and what it recorded sounds as it was played.
func TestReplayOnARM64(t *testing.T) {
	dir := folder(t)
	program := filepath.Join(root(t), "bin", "arm64", "linekeeper")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v: run `make build-arm64` first, or `make test-arm64`", err)
	}
	plan := phone.PlanOptions{Lines: 1, Calls: 3, Rate: lineRate, Pause: 170 * time.Second, After: 170 * time.Second, Seed: 3}
	audio := must(phone.Plan(must(phone.FindVoices())(t), plan))(t)[0]
	wav := filepath.Join(dir, "calls.wav")
	frames := int64(len(audio.Samples))
	if err := os.WriteFile(wav, pcm.AppendBytes(pcm.WAVHeader(audio.Format, frames), audio.Samples), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, codec := range []call.Codec{call.Opus, call.MP3, call.FLAC} {
		t.Run(string(codec), func(t *testing.T) {
			var found []struct {
				Media    string        `json:"media"`
				Manifest call.Manifest `json:"manifest"`
			}
			cmd := exec.Command("qemu-aarch64", program, "replay", wav, "--json", "--codec", string(codec), "--out", filepath.Join(dir, string(codec)))
			cmd.Stderr = os.Stderr
			out := must(cmd.Output())(t)
			if err := json.Unmarshal(out, &found); err != nil || len(found) != len(audio.Calls) {
				t.Fatalf("found %d calls of %d, %v: %s", len(found), len(audio.Calls), err, out)
			}
			for i, f := range found {
				media := must(os.Open(f.Media))(t)
				defer media.Close()
				format, sides := decode(t, must(encoder.NewDecoder(string(codec), media))(t))
				begin := int(audio.Calls[i].Begin) * format.Rate / lineRate
				got, err := phone.Compare(side(audio, 0, format.Rate), sides[0], format.Rate, begin-4*format.Rate, begin+format.Rate)
				if err != nil || got.Correlation < 0.93 || codec == call.FLAC && !got.Exact {
					t.Errorf("call %d: %+v, %v", i, got, err)
				}
			}
		})
	}
}
