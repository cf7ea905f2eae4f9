package capture

import (
	"math"
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ppm   float64
		late  time.Duration // that the last period of a window comes
		every int           // periods a loss; 0: none
		want  float64
	}{
		{"right", 0, 0, 0, 0},
		{"a crystal", 200, 0, 0, 0},
		{"right, held up", 0, 400 * time.Millisecond, 0, 0},
		{"slow", -20000, 0, 0, -0.02},
		{"fast", 88000, 0, 0, 0.088},
		{"slow, with a loss now and then", -20000, 0, 700, -0.02},
		{"slow, with a loss in every window", -20000, 0, 100, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := pace{rate: 8000}
			each := time.Duration(float64(200*time.Millisecond) / (1 + tt.ppm/1e6))
			for n := 1; n <= 3000; n++ {
				now := time.Hour + time.Duration(n)*each
				if n%301 == 0 {
					now += tt.late
				}
				p.add(now, 1600, tt.every > 0 && n%tt.every == 0)
			}
			if math.Abs(p.off-tt.want) > 0.0005 {
				t.Errorf("off by %f, want %f", p.off, tt.want)
			}
		})
	}
}
