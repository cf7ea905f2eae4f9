package figures

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestVerdict(t *testing.T) {
	for _, tt := range []struct {
		name   string
		row    Row
		target string
		want   string
	}{
		{"no target", Row{Ratio: 7}, "-", "-"},
		{"no peer", Row{Limit: 1.4}, "1.4 x", "-"},
		{"at the limit", Row{Ratio: 1.4, Limit: 1.4}, "1.4 x", "met"},
		{"over it", Row{Ratio: 1.41, Limit: 1.4}, "1.4 x", "missed"},
		{"nothing over nothing", Row{Ratio: math.NaN(), Limit: 1.4}, "1.4 x", "missed"},
		{"a size, whatever the ratio", Row{Ratio: 9, Value: 24.9, Unit: "MiB", Limit: 25}, "25 MiB", "met"},
		{"too large", Row{Ratio: 0.1, Value: 25.1, Unit: "MiB", Limit: 25}, "25 MiB", "missed"},
		{"a time that is better than nothing", Row{Value: -0.2, Unit: "s", Limit: 2}, "2 s", "met"},
		{"no time at all", Row{Unit: "s", Limit: 2}, "2 s", "met"},
		{"a part", Row{Ratio: 0.13, Limit: 1. / 8}, "0.125 x", "missed"},
	} {
		if got := tt.row.Verdict(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if got := tt.row.Target(); got != tt.target {
			t.Errorf("%s: target %s, want %s", tt.name, got, tt.target)
		}
	}
}

func TestTable(t *testing.T) {
	got := Table([]Row{
		{What: "replay", Peer: "bare libopus 8.6", Ours: "10.3", Ratio: 10.3 / 8.6, Limit: 1.4},
		{What: "größe", Peer: "-", Ours: "11.8 MiB", Value: 11.8, Unit: "MiB", Limit: 25},
	})
	want := strings.Join([]string{
		"| what   | floor or peer    | ours     | ratio  | at most |     |",
		"| ------ | ---------------- | -------- | ------ | ------- | --- |",
		"| replay | bare libopus 8.6 | 10.3     | 1.20 x | 1.4 x   | met |",
		"| größe  | -                | 11.8 MiB | -      | 25 MiB  | met |",
		"",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestInsert(t *testing.T) {
	const beginMark, endMark = "<!-- make this: begin -->\n", "<!-- make this: end -->\n"
	other := "<!-- make that: begin -->\nkept\n<!-- make that: end -->\n"
	page := other + "# Figures\n" + beginMark + "old\n" + endMark + "After.\n"
	once, err := insert(page, "this", "new")
	if err != nil {
		t.Fatal(err)
	}
	if want := other + "# Figures\n" + beginMark + "\nnew\n" + endMark + "After.\n"; once != want {
		t.Errorf("got %q, want %q", once, want)
	}
	if twice, err := insert(once, "this", "new"); err != nil || twice != once {
		t.Errorf("the second time: %q, %v", twice, err)
	}
	for _, bad := range []string{"", beginMark, endMark, endMark + beginMark} {
		if _, err := insert(bad, "this", "new"); !errors.Is(err, errNoMarks) {
			t.Errorf("page %q: %v", bad, err)
		}
	}
}

func TestArithmetic(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		of   []time.Duration
		want time.Duration
	}{{[]time.Duration{3 * s}, 3 * s}, {[]time.Duration{4 * s, 2 * s}, 3 * s}, {[]time.Duration{9 * s, 1 * s, 2 * s}, 2 * s}} {
		if got := Median(tt.of); got != tt.want {
			t.Errorf("median of %v: %v, want %v", tt.of, got, tt.want)
		}
	}
	if got := PerHour(s, 2*time.Minute); got != 30*s {
		t.Errorf("1 s in 2 min is %v an hour", got)
	}
	if got := PerHour(s, 0); got != 0 {
		t.Errorf("1 s in no time is %v an hour", got)
	}
	for _, tt := range []struct{ bytes, seconds, want float64 }{
		{2000, 1, 4096}, {4096, 1, 4096}, {4097, 1, 8192}, {16100, 1, 16384}, {2000, 2, 2048}, {0, 1, 0},
	} {
		if got := PageFloor(tt.bytes, time.Duration(tt.seconds)*s); got != tt.want {
			t.Errorf("%v bytes a second, synced each %v s: %v, want %v", tt.bytes, tt.seconds, got, tt.want)
		}
	}
}

func TestSectorsWritten(t *testing.T) {
	stat := "     60        1     2114       21       11        8       38        3        0       12       26        0\n"
	if got, err := SectorsWritten(stat); err != nil || got != 38*512 {
		t.Errorf("written: %d, %v", got, err)
	}
	if _, err := SectorsWritten("1 2 3"); err == nil {
		t.Error("a short stat was taken")
	}
}
