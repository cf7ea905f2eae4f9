package main

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
		row    row
		target string
		want   string
	}{
		{"no target", row{ratio: 7}, "-", "-"},
		{"no peer", row{limit: 1.4}, "1.4 x", "-"},
		{"at the limit", row{ratio: 1.4, limit: 1.4}, "1.4 x", "met"},
		{"over it", row{ratio: 1.41, limit: 1.4}, "1.4 x", "missed"},
		{"nothing over nothing", row{ratio: math.NaN(), limit: 1.4}, "1.4 x", "missed"},
		{"a size, whatever the ratio", row{ratio: 9, size: 24.9, limit: 25}, "25 MiB", "met"},
		{"too large", row{ratio: 0.1, size: 25.1, limit: 25}, "25 MiB", "missed"},
		{"a part", row{ratio: 0.13, limit: 1. / 8}, "0.125 x", "missed"},
	} {
		if got := tt.row.verdict(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if got := tt.row.target(); got != tt.target {
			t.Errorf("%s: target %s, want %s", tt.name, got, tt.target)
		}
	}
}

func TestTable(t *testing.T) {
	got := table([]row{
		{what: "replay", peer: "bare libopus 8.6", ours: "10.3", ratio: 10.3 / 8.6, limit: 1.4},
		{what: "größe", peer: "-", ours: "11.8 MiB", size: 11.8, limit: 25},
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
	page := "# Figures\n" + beginMark + "old\n" + endMark + "After.\n"
	once, err := insert(page, "new")
	if err != nil {
		t.Fatal(err)
	}
	if want := "# Figures\n" + beginMark + "\nnew\n" + endMark + "After.\n"; once != want {
		t.Errorf("got %q, want %q", once, want)
	}
	if twice, err := insert(once, "new"); err != nil || twice != once {
		t.Errorf("the second time: %q, %v", twice, err)
	}
	for _, bad := range []string{"", beginMark, endMark, endMark + beginMark} {
		if _, err := insert(bad, "new"); !errors.Is(err, errNoMarks) {
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
		if got := median(tt.of); got != tt.want {
			t.Errorf("median of %v: %v, want %v", tt.of, got, tt.want)
		}
	}
	if got := perHour(s, 2*time.Minute); got != 30*s {
		t.Errorf("1 s in 2 min is %v an hour", got)
	}
	if got := perHour(s, 0); got != 0 {
		t.Errorf("1 s in no time is %v an hour", got)
	}
	for _, tt := range []struct{ bytes, seconds, want float64 }{
		{2000, 1, 4096}, {4096, 1, 4096}, {4097, 1, 8192}, {16100, 1, 16384}, {2000, 2, 2048}, {0, 1, 0},
	} {
		if got := pageFloor(tt.bytes, time.Duration(tt.seconds)*s); got != tt.want {
			t.Errorf("%v bytes a second, synced each %v s: %v, want %v", tt.bytes, tt.seconds, got, tt.want)
		}
	}
}

func TestReadingTheKernel(t *testing.T) {
	stat := "     60        1     2114       21       11        8       38        3        0       12       26        0\n"
	if got, err := sectorsWritten(stat); err != nil || got != 38*512 {
		t.Errorf("written: %d, %v", got, err)
	}
	if _, err := sectorsWritten("1 2 3"); err == nil {
		t.Error("a short stat was taken")
	}
	status := "Name:\tlinekeeper\nVmHWM:\t   20000 kB\nVmRSS:\t   18000 kB\n"
	if got, err := field(status, "VmRSS:", 1024); err != nil || got != 18000*1024 {
		t.Errorf("resident: %d, %v", got, err)
	}
	for _, bad := range []string{"", "VmRSS:\n", "VmRSS: many kB\n"} {
		if _, err := field(bad, "VmRSS:", 1024); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	mounts := "/dev/vda / ext4 rw 0 0\n/dev/loop3 /srv/disk ext4 rw,noatime 0 0\n"
	if got := deviceAt(mounts, "/srv/disk"); got != "loop3" {
		t.Errorf("device %q", got)
	}
	if got := deviceAt(mounts, "/srv"); got != "" {
		t.Errorf("device %q", got)
	}
}

func TestCut(t *testing.T) {
	if err := cut(t.TempDir()+"/x", make([]int16, 10), nil); err == nil {
		t.Error("no call is no error")
	}
	long := []found{{}}
	long[0].Manifest.Frames = 11
	if err := cut(t.TempDir()+"/x", make([]int16, 10), long); err == nil {
		t.Error("a call longer than the file is no error")
	}
	if got := rotate([]int16{1, 2, 3}, 4); len(got) != 3 || got[0] != 2 || got[2] != 1 {
		t.Errorf("rotated: %v", got)
	}
	if got := repeat([]int16{1, 2, 3}, 5); len(got) != 5 || got[4] != 2 {
		t.Errorf("repeated: %v", got)
	}
}
