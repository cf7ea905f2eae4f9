// Package golden holds what detectors find against what they found when somebody looked at it last.
package golden

import (
	"flag"
	"os"
	"testing"
)

const file = "testdata/golden.txt"

var update = flag.Bool("update", false, "write "+file)

// Check fails the test where got is not what testdata/golden.txt of its package holds, or writes it there under -update.
func Check(t testing.TB, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
