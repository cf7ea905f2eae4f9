package devicetest

import (
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/device"
)

func TestReadLight(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first bool
		lasts []int // ms, of each level
		want  string
	}{
		{"on", true, []int{6000}, lightRecording},
		{"off", false, []int{6000}, lightDark},
		{"flash", false, []int{1700, 55, 4240}, lightIdle},
		{"two flashes", false, []int{300, 52, 4947, 61, 700}, lightIdle},
		{"slow", true, []int{400, 1000, 1010, 990, 1000, 1000, 600}, lightOffline},
		{"fast", true, []int{30, 100, 105, 95, 100, 100, 100, 90, 104}, lightFault},
		{"fast, held up now and then", true, []int{30, 100, 190, 15, 100, 100, 140, 60, 100, 100, 250, 5, 100, 100}, lightFault},
		{"two blinks, held up once", false, []int{700, 200, 300, 205, 2500, 100, 301, 200, 2300, 200, 500}, lightAlarm},
		{"flashes, held up", false, []int{300, 130, 4947, 61, 700}, lightIdle},
		{"slow, then dark", true, []int{400, 1000, 1000, 3600}, lightUnknown},
		{"neither fast nor two blinks", true, []int{30, 200, 200, 200, 200, 200, 200, 200}, lightUnknown},
		{"on with short darks", true, []int{500, 100, 905, 104, 890, 97, 900}, lightPaused},
		{"two blinks", false, []int{700, 200, 300, 205, 2295, 200, 301, 200, 1800}, lightAlarm},
		{"from idle to recording", false, []int{700, 50, 2000, 3250}, lightUnknown},
		{"from slow to fast", true, []int{400, 1000, 1000, 1000, 100, 100, 100, 100}, lightUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var edges []device.Edge
			at, level := time.Duration(0), tt.first
			for _, ms := range tt.lasts {
				edges = append(edges, device.Edge{At: at, High: level})
				at, level = at+time.Duration(ms)*time.Millisecond, !level
			}
			if got := readLight(edges, at); got != tt.want {
				t.Errorf("read as %s, want %s", got, tt.want)
			}
		})
	}
}

func TestReadSigns(t *testing.T) {
	ten := []int{700}
	for range 19 {
		ten = append(ten, 100)
	}
	for _, tt := range []struct {
		name  string
		lasts []int // ms, of each level, the first dark
		want  string
	}{
		{"nothing", []int{6000}, ""},
		{"idle", []int{1700, 50, 4950, 50, 700}, ""},
		{"alarm", []int{700, 200, 300, 205, 2295, 200, 301, 200, 1800}, ""},
		{"recording", []int{700, 6000}, ""},
		{"offline", []int{700, 1000, 1000, 1000, 1000, 400}, ""},
		{"accepted", []int{700, 3010, 400, 50, 4000}, "accepted"},
		{"asks", []int{700, 150, 200, 150, 200, 150, 1200, 150, 200, 150, 200, 150, 1200, 150, 100}, "asks"},
		{"asks again", []int{700, 150, 200, 150, 200, 150, 200, 150, 200, 150, 1200, 150, 100}, "asks again"},
		{"refused", append(ten, 2500), "refused"},
		{"refused, held up", []int{700, 100, 20, 180, 100, 100, 160, 40, 400, 20, 100, 100, 100, 180, 100, 100, 100, 100, 100, 100, 2500}, "refused"},
		{"read, and on", []int{700, 100, 150, 100, 650, 100, 150, 100, 650, 100, 150, 100, 650, 100, 150, 100, 650, 4500, 100}, "reading"},
		{"read and accepted", []int{700, 100, 150, 100, 650, 100, 150, 100, 650, 3000, 1000}, "reading accepted"},
		{"read, held up", []int{700, 120, 130, 110, 690, 100, 150, 100, 300}, "reading"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var edges []device.Edge
			at, level := time.Duration(0), false
			for _, ms := range tt.lasts {
				edges = append(edges, device.Edge{At: at, High: level})
				at, level = at+time.Duration(ms)*time.Millisecond, !level
			}
			if got := strings.Join(readSigns(edges), " "); got != tt.want {
				t.Errorf("read as %q, want %q", got, tt.want)
			}
		})
	}
}
