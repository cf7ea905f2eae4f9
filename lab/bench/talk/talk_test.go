package talk

import (
	"slices"
	"testing"
)

func TestRotate(t *testing.T) {
	if got := Rotate([]int16{1, 2, 3}, 4); !slices.Equal(got, []int16{2, 3, 1}) {
		t.Errorf("rotated: %v", got)
	}
}
