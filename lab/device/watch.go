package device

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Edge is a change of a line's level, or its level at first.
type Edge struct {
	At   time.Duration // since the watch began
	High bool
}

// Watch is a line of the GPIO chip, driven by a program, that is looked at: the guest's kernel notes each change, by its own clock
// and in the moment in which the program makes it, so that none is missed or comes late on a busy host.
type Watch struct {
	device *Device
	line   int    // as the kernel counts
	trace  string // folder of the kernel's notes
}

// Begin and end of a watch, in the kernel's notes. The level at first stands behind the beginning.
const watchBegins, watchEnds = "lab begins ", "lab ends"

// BeginWatch begins to look at a line. End ends it.
func (d *Device) BeginWatch(ctx context.Context, number int) (*Watch, error) {
	line, err := d.line(ctx, number)
	if err != nil {
		return nil, err
	}
	out, err := d.Shell(ctx, fmt.Sprintf(`set -e
		cd %s
		mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
		trace=$(mktemp -d -p /sys/kernel/tracing/instances lab.XXXXXX)
		echo mono >$trace/trace_clock
		echo 1 >$trace/events/gpio/gpio_value/enable
		echo "%s$(cat value)" >$trace/trace_marker
		echo $trace $(($(cat ../../gpio/gpiochip*/base) + %d))`, line, watchBegins, number))
	if err != nil {
		return nil, fmt.Errorf("watch GPIO line %d: %w", number, err)
	}
	w := &Watch{device: d}
	if _, err := fmt.Sscan(out, &w.trace, &w.line); err != nil {
		return nil, fmt.Errorf("watch GPIO line %d: %q: %w", number, out, err)
	}
	return w, nil
}

// Edges gives the level at first and all changes until now, and how long it has been looked at.
func (w *Watch) Edges(ctx context.Context) ([]Edge, time.Duration, error) {
	notes, err := w.device.Shell(ctx, fmt.Sprintf("echo '%s' >%s/trace_marker && cat %[2]s/trace", watchEnds, w.trace))
	if err != nil {
		return nil, 0, fmt.Errorf("watch GPIO line: %w", err)
	}
	edges, length, err := readNotes(notes, w.line)
	if err != nil {
		return nil, 0, fmt.Errorf("watch GPIO line: %w", err)
	}
	return edges, length, nil
}

// End ends the watch.
func (w *Watch) End(ctx context.Context) error {
	_, err := w.device.Shell(ctx, fmt.Sprintf("echo 0 >%s/events/gpio/gpio_value/enable && rmdir %[1]s", w.trace))
	return err
}

// Watch looks at a line for some time of the guest's.
func (d *Device) Watch(ctx context.Context, number int, length time.Duration) ([]Edge, error) {
	w, err := d.BeginWatch(ctx, number)
	if err != nil {
		return nil, err
	}
	if _, err := d.Run(ctx, "sleep", fmt.Sprint(length.Seconds())); err != nil {
		return nil, err
	}
	edges, _, err := w.Edges(ctx)
	if err != nil {
		return nil, err
	}
	return edges, w.End(ctx)
}

// note is a line of what the kernel has noted: who, on which processor, flags, when in seconds, what.
var note = regexp.MustCompile(`(?m) ([0-9]+\.[0-9]+): (\w+): (.*)$`)

// readNotes reads what the kernel has noted of a line.
func readNotes(notes string, line int) (edges []Edge, length time.Duration, err error) {
	set, begin := fmt.Sprintf("%d set ", line), time.Duration(0)
	for _, m := range note.FindAllStringSubmatch(notes, -1) {
		seconds, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return nil, 0, err
		}
		at := time.Duration(seconds * float64(time.Second))
		level, isSet := strings.CutPrefix(m[3], set)
		first, begins := strings.CutPrefix(m[3], watchBegins)
		switch {
		case begins:
			begin = at
			edges = append(edges, Edge{0, first == "1"})
		case m[3] == watchEnds:
			length = at - begin
		case m[2] == "gpio_value" && isSet && len(edges) > 0 && (level == "1") != edges[len(edges)-1].High:
			edges = append(edges, Edge{at - begin, level == "1"})
		}
	}
	if len(edges) == 0 || length == 0 {
		return nil, 0, fmt.Errorf("the guest's kernel has noted neither its beginning nor its end: %q", lastLines(notes))
	}
	return edges, length, nil
}
