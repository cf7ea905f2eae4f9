package gpio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/host/v3"
	"periph.io/x/host/v3/gpioioctl"
	"periph.io/x/host/v3/sysfs"
)

// ErrNoOutputs is returned on a machine that has neither GPIO pins nor LEDs, as most that are not boards.
var ErrNoOutputs = errors.New("this machine has no GPIO pins and no LEDs")

// NotFoundError says that a board has no output of a name.
type NotFoundError struct {
	Name  string
	There []string // what it has
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("this board has no output %q; it has: %s", e.Name, strings.Join(e.There, ", "))
}

// Open finds an output by its name:
//
//	GPIO17, 17       a pin, by the names that the board's maker or the kernel's GPIO chip gives it
//	P1_11            a position on a header
//	gpiochip0:17     a line of a GPIO character device, by number
//	led:ACT          an LED of the board, as in /sys/class/leds; it is taken from the kernel, which blinks it otherwise
//
// A name that begins with ! is of an LED that lights when the pin is low. The errors are ErrNoOutputs, a NotFoundError,
// or why an LED cannot be had (most often: not permitted).
func Open(name string) (Output, error) {
	b, err := thisBoard()
	if err != nil {
		return nil, fmt.Errorf("open light %q: %w", name, err)
	}
	out, err := b.open(name)
	if err != nil {
		return nil, fmt.Errorf("open light %q: %w", name, err)
	}
	return out, nil
}

// Names are the outputs that Open can find here, but for aliases; none on a machine without any.
func Names() ([]string, error) {
	b, err := thisBoard()
	if err != nil {
		return nil, err
	}
	return b.names(), nil
}

// board is what a machine has to light.
type board struct {
	pins  []string                        // by name
	pin   func(name string) gpio.PinIO    // also by alias; nil where there is none
	lines map[string]int                  // GPIO chips, and how many lines each has
	line  func(chip string, n int) Output // nil where there is none
	leds  []string                        // of the board
	led   func(name string) (Output, error)
}

// thisBoard lets periph look what there is; it looks once.
func thisBoard() (board, error) {
	if _, err := host.Init(); err != nil {
		return board{}, fmt.Errorf("look for GPIO drivers: %w", err)
	}
	b := board{pin: gpioreg.ByName, line: chipLine, led: sysfsLED, lines: map[string]int{}}
	for _, p := range gpioreg.All() {
		b.pins = append(b.pins, p.Name())
	}
	for _, c := range gpioioctl.Chips {
		b.lines[c.Name()] = c.LineCount()
	}
	for _, l := range sysfs.LEDs {
		b.leds = append(b.leds, l.Name())
	}
	return b, nil
}

func chipLine(chip string, n int) Output {
	for _, c := range gpioioctl.Chips {
		if c.Name() == chip && n >= 0 && n < c.LineCount() {
			return c.ByNumber(n)
		}
	}
	return nil
}

// sysfsLED takes an LED from its trigger, by which the kernel blinks it for the card or a heartbeat.
func sysfsLED(name string) (Output, error) {
	trigger := filepath.Join("/sys/class/leds", name, "trigger")
	if err := os.WriteFile(trigger, []byte("none"), 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("take it from the kernel: %w", err)
	}
	return sysfs.LEDByName(name)
}

func (b board) open(name string) (Output, error) {
	plain, low := strings.CutPrefix(name, "!")
	out, err := b.find(plain)
	if err != nil {
		return nil, err
	}
	if low {
		return inverted{out}, nil
	}
	return out, nil
}

func (b board) find(name string) (Output, error) {
	if led, ok := strings.CutPrefix(name, "led:"); ok {
		if slices.Contains(b.leds, led) {
			return b.led(led)
		}
	} else if chip, number, ok := strings.Cut(name, ":"); ok {
		if n, err := strconv.Atoi(number); err == nil {
			if line := b.line(chip, n); line != nil {
				return line, nil
			}
		}
	} else if pin := b.pin(name); pin != nil {
		return pin, nil
	}
	there := b.names()
	if len(there) == 0 {
		return nil, ErrNoOutputs
	}
	return nil, &NotFoundError{Name: name, There: there}
}

func (b board) names() (names []string) {
	names = append(names, b.pins...)
	for chip, lines := range b.lines {
		if lines > 0 {
			names = append(names, fmt.Sprintf("%s:0 to %s:%d", chip, chip, lines-1))
		}
	}
	slices.Sort(names[len(b.pins):])
	for _, l := range b.leds {
		names = append(names, "led:"+l)
	}
	return names
}

// inverted lights when the pin is low.
type inverted struct{ Output }

func (i inverted) Out(level gpio.Level) error { return i.Output.Out(!level) }
