package web

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

const (
	waveBars   = 64 // of the small waveform in the list
	waveHeight = 40 // of its drawing, in units: the page scales it
)

// waveSVG draws a small waveform: the first channel upwards, the last (of one channel the same) downwards.
func waveSVG(peaks [][]byte) template.HTML {
	if len(peaks) == 0 || len(peaks[0]) == 0 {
		return ""
	}
	up, down := bars(peaks[0]), bars(peaks[len(peaks)-1])
	most := 64 // a line at rest stays flat: its noise is not blown up to full height
	for i := range up {
		most = max(most, up[i], down[i])
	}
	const middle = waveHeight / 2
	var path strings.Builder
	for i := range up {
		above, below := max(1, up[i]*(middle-1)/most), max(1, down[i]*(middle-1)/most)
		fmt.Fprintf(&path, "M%d %dh2v%dh-2z", 3*i, middle-above, above+below)
	}
	return template.HTML(fmt.Sprintf(`<svg class="wave" viewBox="0 0 %d %d" preserveAspectRatio="none" aria-hidden="true"><path d="%s"/></svg>`,
		3*waveBars-1, waveHeight, path.String()))
}

// bars are the loudest of the points that fall on each bar, 0 to 255 as the square root of what it was, so that quiet
// speech is seen.
func bars(points []byte) []int {
	b := make([]int, waveBars)
	for i := range b {
		from := i * len(points) / waveBars
		loudest := slices.Max(points[from:max(from+1, (i+1)*len(points)/waveBars)])
		b[i] = int(math.Sqrt(float64(loudest) * 255))
	}
	return b
}
