package tus

import (
	"bytes"
	"testing"
)

// TestBodyGoesOutInPieces: a DATA frame of HTTP/2 is as long as a read of the body, and worth nothing to a receiver
// before all of it is there.
func TestBodyGoesOutInPieces(t *testing.T) {
	b := &body{r: bytes.NewReader(make([]byte, 300<<10)), tell: func(int64, int64) {}}
	for p := make([]byte, 512<<10); ; {
		n, err := b.Read(p)
		if n > 16<<10 {
			t.Fatalf("%d bytes at once", n)
		}
		if err != nil {
			break
		}
	}
	if b.sent != 300<<10 {
		t.Errorf("%d bytes in all", b.sent)
	}
}
