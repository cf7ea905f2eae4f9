package main

import (
	"strings"
	"testing"
)

func TestInOrder(t *testing.T) {
	for _, tt := range []struct {
		sent, heard string
		want        int
	}{{"12345", "12345", 5}, {"12345", "1345", 4}, {"12345", "1x2345", 5}, {"12345", "", 0}, {"", "1", 0}, {"12345", "54321", 1}, {"1122", "12", 2}} {
		if got := inOrder(strings.Split(tt.sent, ""), strings.Split(tt.heard, "")); got != tt.want {
			t.Errorf("%q heard as %q: %d, want %d", tt.sent, tt.heard, got, tt.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	sent := []string{"1", "2"}
	for _, tt := range []struct {
		name        string
		reach       reach
		hits, wrong [][]int
		want        string
	}{
		{"all", all, [][]int{{0}, {0}, {2}}, [][]int{{0}, {0}, {0}}, "met"},
		{"one missing at one seed", all, [][]int{{0, 0}, {0, 0}, {2, 1}}, [][]int{{0, 0}, {0, 0}, {0, 0}}, "missed"},
		{"one too many", all, [][]int{{0}, {0}, {2}}, [][]int{{0}, {0}, {1}}, "missed"},
		{"none", none, [][]int{{2}, {2}, {0}}, [][]int{{0}, {0}, {0}}, "met"},
		{"not none", none, [][]int{{0}, {0}, {1}}, [][]int{{0}, {0}, {0}}, "missed"},
		{"as good as the better", best, [][]int{{0}, {1}, {1}}, [][]int{{0}, {0}, {0}}, "met"},
		{"worse at one seed", best, [][]int{{0, 0}, {1, 2}, {1, 1}}, [][]int{{0, 0}, {0, 0}, {0, 0}}, "missed"},
	} {
		if got := verdict(trial{truth: sent, reach: tt.reach}, tt.hits, tt.wrong); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestOurs: the trials say what they mean, by the detectors that are at hand without installing anything.
func TestOurs(t *testing.T) {
	for _, one := range append(digitTrials()[3:4], callerTrials()[4]) {
		var heard []string
		for _, piece := range one.signal(1) {
			more, err := one.hear(ours{}, piece)
			if err != nil {
				t.Fatal(err)
			}
			heard = append(heard, more...)
		}
		if n := inOrder(one.truth, heard); n != len(one.truth) || len(heard) != n {
			t.Errorf("%s: heard %d of %d, and %d in all", one.what, n, len(one.truth), len(heard))
		}
	}
}

func TestFields(t *testing.T) {
	if got := fields([]byte("\x80\x0f\x01\x08MMDDHHMM\x02\x03123")); got != "MMDDHHMM/123/" {
		t.Errorf("read %q", got)
	}
	if got := fields([]byte("\x80\x0f\x01\x08MMDD")); got != "//" {
		t.Errorf("read %q of one that is cut short", got)
	}
}
