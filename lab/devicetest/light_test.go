package devicetest

import (
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
