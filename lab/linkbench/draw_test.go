package main

import (
	"math"
	"testing"
	"time"
)

func TestDraws(t *testing.T) {
	all := draws(1, 30)
	if len(all) != 90 {
		t.Fatalf("%d draws", len(all))
	}
	for i, d := range draws(1, 12)[:12] {
		if d != all[i] {
			t.Errorf("draw %d is another with fewer of them: %v, %v", i, d, all[i])
		}
	}
	for _, g := range groups {
		n := 0
		for _, d := range all {
			if g.has(d) {
				n++
			}
		}
		if n < 3 {
			t.Errorf("%s: %d draws", g.name, n)
		}
	}
	if other := draws(2, 30); other[0].Seed == all[0].Seed {
		t.Error("another seed draws the same")
	}
}

func TestFloors(t *testing.T) {
	for _, tt := range []struct {
		draw            draw
		restart, resume float64
	}{
		{draw{Rate: 64_000, RTT: 600 * time.Millisecond, Size: large}, 1, 1},
		{draw{Rate: 64_000, RTT: 600 * time.Millisecond, Size: large, Loss: 0.03}, 1.0309, 1.0309},
		{draw{Rate: 64_000, RTT: 600 * time.Millisecond, Size: large, Cut: reset, At: 0.5}, 1.5, 1.012},
		{draw{Rate: 256_000, RTT: 600 * time.Millisecond, Size: small, Cut: reset, At: 0.9}, 1.9, 1.1},
		{draw{Rate: 64_000, RTT: 600 * time.Millisecond, Size: large, Cut: finishKilled, At: 1}, 2, 1},
	} {
		restart, resume := tt.draw.floors()
		if math.Abs(restart-tt.restart) > 1e-4 || math.Abs(resume-tt.resume) > 1e-4 {
			t.Errorf("%v: %.4f, %.4f, want %.4f, %.4f", tt.draw, restart, resume, tt.restart, tt.resume)
		}
	}
}

func TestQuantile(t *testing.T) {
	for _, tt := range []struct {
		values     []float64
		half, most float64
	}{{[]float64{3}, 3, 3}, {[]float64{4, 2}, 3, 4}, {[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}, 10.5, 19}} {
		if half, most := quantile(tt.values, 0.5), quantile(tt.values, 0.95); half != tt.half || most != tt.most {
			t.Errorf("%v: %v, %v", tt.values, half, most)
		}
	}
}
