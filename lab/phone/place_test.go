package phone

import (
	"slices"
	"testing"

	"github.com/linekeeper/linekeeper/call"
)

func TestPlaces(t *testing.T) {
	sound := Noise(8000, 500, 1)
	p := NewPlaces(sound)
	for _, from := range []int{0, 1, 63, 64, 65, 4321} {
		if at, same := p.Find(sound[from : from+500]); at != from || same != 500 {
			t.Errorf("from %d: found at %d, %d samples", from, at, same)
		}
	}
	part := append([]int16(nil), sound[100:400]...)
	part[250]++
	if at, same := p.Find(part); at != 100 || same != 250 {
		t.Errorf("found at %d, %d samples", at, same)
	}
	if at, same := p.Find(Noise(300, 500, 2)); same != 0 {
		t.Errorf("other noise was found at %d, %d samples", at, same)
	}
}

func TestHear(t *testing.T) {
	sound := Noise(8000, 500, 1)
	p := NewPlaces(sound)
	silence := make([]int16, 1000)
	heard := slices.Concat(sound[1000:2000], silence[:500], sound[2510:3000], silence[:300])
	gaps := []call.Gap{{Position: 1000, Frames: 500}, {Position: 1990, Frames: 300}}
	lost, err := p.Hear(heard, gaps)
	if want := []Loss{{500, 510, true}, {300, 300, false}}; err != nil || !slices.Equal(lost, want) {
		t.Errorf("%+v, %v", lost, err)
	}
	heard[1700]++
	if _, err := p.Hear(heard, gaps); err == nil {
		t.Error("a sample that was not played is not noticed")
	}
	if _, err := p.Hear(heard[:1200], gaps); err == nil {
		t.Error("gaps that reach beyond the call are not noticed")
	}
}
