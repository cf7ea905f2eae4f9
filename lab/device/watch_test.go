package device

import (
	"slices"
	"testing"
	"time"
)

func TestReadNotes(t *testing.T) {
	const notes = `# tracer: nop
#
# entries-in-buffer/entries-written: 7/7   #P:2
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
      linekeeper-411     [001] .....   100.000001: gpio_value: 501 set 0
              sh-700     [000] .....   100.250000: tracing_mark_write: lab begins 0
      linekeeper-411     [001] .....   101.250000: gpio_value: 501 set 1
      linekeeper-411     [000] .....   101.260000: gpio_value: 511 set 0
      linekeeper-411     [000] .....   101.270000: gpio_value: 501 get 0
      linekeeper-411     [000] .....   101.300000: gpio_value: 501 set 0
              sh-702     [000] .....   102.250000: tracing_mark_write: lab ends
      linekeeper-411     [000] .....   102.300000: gpio_value: 501 set 1
              sh-704     [000] .....   103.250000: tracing_mark_write: lab ends
`
	edges, length, err := readNotes(notes, 501)
	const ms = time.Millisecond
	for i := range edges {
		edges[i].At = edges[i].At.Round(ms)
	}
	want := []Edge{{0, false}, {1000 * ms, true}, {1050 * ms, false}, {2050 * ms, true}}
	if err != nil || !slices.Equal(edges, want) || length.Round(ms) != 3*time.Second {
		t.Errorf("%v, %v, %v", edges, length, err)
	}
	if _, _, err := readNotes("nothing", 501); err == nil {
		t.Error("no beginning is no error")
	}
}
