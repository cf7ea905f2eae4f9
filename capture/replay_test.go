package capture

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linekeeper/linekeeper/pcm"
)

func wav(f pcm.Format, samples []int16) []byte {
	return pcm.AppendBytes(pcm.WAVHeader(f, int64(len(samples)/f.Channels)), samples)
}

func newTestReplay(t *testing.T, file []byte, lines []LineConfig, rate int, paced bool) *Replay {
	t.Helper()
	r, err := pcm.NewWAVReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return NewReplay(r, lines, rate, paced)
}

// collect runs a replay and returns what each line heard.
func collect(t *testing.T, ctx context.Context, r *Replay) ([][]int16, error) {
	t.Helper()
	got := make([][]int16, len(r.lines))
	var last time.Duration
	err := r.Run(ctx, func(line int, p pcm.Period) {
		if want := int64(len(got[line]) / p.Format.Channels); p.Position != want || p.LostFrames != 0 {
			t.Errorf("line %d: position %d, want %d", line, p.Position, want)
		}
		if p.At < last {
			t.Errorf("time went back from %v to %v", last, p.At)
		}
		last = p.At
		got[line] = append(got[line], p.Samples...)
	})
	return got, err
}

func TestReplayIsExactAtTheLinesRate(t *testing.T) {
	samples := noise(8000*2*3 + 34)
	lines := []LineConfig{{"a", []int{0}}, {"b", []int{1}}, {"both", []int{0, 1}}, {"turned", []int{1, 0}}}
	got, err := collect(t, t.Context(), newTestReplay(t, wav(pcmFormat(8000, 2), samples), lines, 8000, false))
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range lines {
		if want := pcm.Pick(nil, samples, 2, l.Channels...); !slices.Equal(got[i], want) {
			t.Errorf("line %s is not what is in the file", l.Name)
		}
	}
}

func TestReplayKeepsChannelsApart(t *testing.T) {
	a, b := sine(44100, 400, 2*44100), sine(44100, 2500, 2*44100)
	both := make([]int16, 0, 4*44100)
	for i := range a {
		both = append(both, a[i], b[i])
	}
	lines := []LineConfig{{"a", []int{0}}, {"sides", []int{0, 1}}}
	got, err := collect(t, t.Context(), newTestReplay(t, wav(pcmFormat(44100, 2), both), lines, 8000, false))
	if err != nil {
		t.Fatal(err)
	}
	wantA, wantB := resample(t, a, 44100, 8000), resample(t, b, 44100, 8000)
	if !slices.Equal(got[0], wantA) {
		t.Error("a mono line is not its channel alone")
	}
	if !slices.Equal(pcm.Pick(nil, got[1], 2, 0), wantA) || !slices.Equal(pcm.Pick(nil, got[1], 2, 1), wantB) {
		t.Error("the sides of a line are not their channels alone")
	}
	if len(wantA) != 16000 {
		t.Errorf("2 s became %d samples", len(wantA))
	}
}

func TestReplayPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		got, err := collect(t, t.Context(), newTestReplay(t, wav(pcmFormat(48000, 1), noise(48000*5/2)), []LineConfig{{"a", []int{0}}}, 16000, true))
		if err != nil || len(got[0]) != 40000 {
			t.Errorf("%d samples, %v", len(got[0]), err)
		}
		if d := time.Since(begun); d != 2500*time.Millisecond {
			t.Errorf("2.5 s of audio took %v", d)
		}
	})
}

func TestReplayStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got, err := collect(t, ctx, newTestReplay(t, wav(pcmFormat(8000, 1), noise(8000*60)), []LineConfig{{"a", []int{0}}}, 8000, true))
		if !errors.Is(err, context.DeadlineExceeded) || len(got[0]) < 78000 || len(got[0]) > 80000 {
			t.Errorf("%d samples, %v", len(got[0]), err)
		}
	})
}

func TestReplayOfATruncatedFile(t *testing.T) {
	samples := noise(20000)
	file := wav(pcmFormat(8000, 1), samples)
	got, err := collect(t, t.Context(), newTestReplay(t, file[:pcm.WAVHeaderSize+2*12345+1], []LineConfig{{"a", []int{0}}}, 8000, false))
	if err != nil || !slices.Equal(got[0], samples[:12345]) {
		t.Errorf("%d samples, %v", len(got[0]), err)
	}
}

func TestReplayRefuses(t *testing.T) {
	file := wav(pcmFormat(8000, 1), noise(100))
	for name, r := range map[string]*Replay{
		"a channel that is not there": newTestReplay(t, file, []LineConfig{{"a", []int{1}}}, 8000, false),
		"no lines":                    newTestReplay(t, file, nil, 8000, false),
		"another line rate":           newTestReplay(t, file, []LineConfig{{"a", []int{0}}}, 11025, false),
		"an odd rate":                 newTestReplay(t, wav(pcmFormat(44101, 1), noise(100)), []LineConfig{{"a", []int{0}}}, 8000, false),
	} {
		if err := r.Run(t.Context(), func(int, pcm.Period) {}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
