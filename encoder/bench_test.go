package encoder_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/encoder"
)

// The benchmarks tell what an hour of audio costs in CPU time, which is what a recorder that hears it in real time pays.

func BenchmarkEncode(b *testing.B) {
	for _, cfg := range []encoder.Config{
		{Codec: "opus", Rate: 8000, Channels: 1},
		{Codec: "opus", Rate: 8000, Channels: 1, Complexity: -1},
		{Codec: "opus", Rate: 8000, Channels: 1, Complexity: 10},
		{Codec: "opus", Rate: 8000, Channels: 2},
		{Codec: "opus", Rate: 16000, Channels: 1},
		{Codec: "mp3", Rate: 8000, Channels: 1},
		{Codec: "mp3", Rate: 16000, Channels: 1},
		{Codec: "flac", Rate: 8000, Channels: 1},
	} {
		name := fmt.Sprintf("%s/rate=%d/sides=%d/complexity=%d", cfg.Codec, cfg.Rate, cfg.Channels, cfg.Complexity)
		b.Run(name, func(b *testing.B) {
			const seconds = 20
			samples := speech(cfg.Rate, seconds*cfg.Rate)
			if cfg.Channels == 2 {
				samples = sides(samples, samples)
			}
			e, err := encoder.New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			size := 0
			emit := func(c encoder.Chunk) error { size += len(c.Data); return nil }
			period := cfg.Rate / 10 * cfg.Channels
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				for at := 0; at < len(samples); at += period {
					if err := e.Write(samples[at:at+period], emit); err != nil {
						b.Fatal(err)
					}
				}
			}
			spent := cpuTime(b) - before
			hours := float64(b.N) * seconds / 3600
			b.ReportMetric(spent.Seconds()/hours, "cpu-s/hour")
			b.ReportMetric(float64(size)/hours/1e6, "MB/hour")
			if err := e.Close(emit); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	const seconds = 20
	for _, codec := range all {
		b.Run(codec, func(b *testing.B) {
			media, _ := join(encode(b, encoder.Config{Codec: codec, Rate: 8000, Channels: 1}, speech(8000, seconds*8000)))
			before := cpuTime(b)
			for b.Loop() {
				mustDecode(b, codec, media)
			}
			spent := cpuTime(b) - before
			b.ReportMetric(spent.Seconds()/(float64(b.N)*seconds/3600), "cpu-s/hour")
		})
	}
}

// cpuTime is what the process has used, of which nothing but the benchmark runs.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestOpusAllocatesNothingOnItsWay(t *testing.T) {
	e, err := encoder.New(encoder.Config{Codec: "opus", Rate: 8000, Channels: 2})
	if err != nil {
		t.Fatal(err)
	}
	samples := sides(speech(8000, 16000), noise(16000, 0.1))
	emit := func(encoder.Chunk) error { return nil }
	run := func() {
		for at := 0; at < len(samples); at += 1600 {
			if err := e.Write(samples[at:at+1600], emit); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := testing.AllocsPerRun(5, run); n > 0 {
		t.Errorf("%.0f allocations in two seconds of audio", n)
	}
	if err := e.Close(emit); err != nil {
		t.Fatal(err)
	}
}
