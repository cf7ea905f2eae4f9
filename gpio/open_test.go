package gpio

import (
	"errors"
	"strings"
	"testing"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
)

func TestOpen(t *testing.T) {
	header, line, led := &gpiotest.Pin{N: "GPIO17"}, &gpiotest.Pin{N: "line 4"}, &gpiotest.Pin{N: "ACT"}
	denied := errors.New("permission denied")
	b := board{
		pins: []string{"GPIO4", "GPIO17"},
		pin: func(name string) gpio.PinIO {
			if name == "GPIO17" || name == "P1_11" {
				return header
			}
			return nil
		},
		lines: map[string]int{"gpiochip0": 8, "gpiochip1": 0},
		line: func(chip string, n int) Output {
			if chip == "gpiochip0" && n == 4 {
				return line
			}
			return nil
		},
		leds: []string{"ACT", "PWR"},
		led: func(name string) (Output, error) {
			if name == "ACT" {
				return led, nil
			}
			return nil, denied
		},
	}
	for name, want := range map[string]*gpiotest.Pin{
		"GPIO17": header, "P1_11": header, "gpiochip0:4": line, "led:ACT": led,
		"!GPIO17": header, "!led:ACT": led,
	} {
		want.L = gpio.Level(strings.HasPrefix(name, "!"))
		out, err := b.open(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := out.Out(gpio.High); err != nil || want.L == gpio.Level(strings.HasPrefix(name, "!")) {
			t.Errorf("%s: lit, the pin is %v (%v)", name, want.L, err)
		}
	}
	for _, name := range []string{"", "!", "GPIO99", "gpiochip0:99", "gpiochip0:x", "gpiochip7:1", "led:", "led:NUM", "ACT"} {
		_, err := b.open(name)
		var notFound *NotFoundError
		if !errors.As(err, &notFound) || notFound.Name != strings.TrimPrefix(name, "!") {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if want := "it has: GPIO4, GPIO17, gpiochip0:0 to gpiochip0:7, led:ACT, led:PWR"; !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
	if _, err := b.open("led:PWR"); !errors.Is(err, denied) {
		t.Errorf("an LED that is not permitted: %v", err)
	}
	none := board{pin: func(string) gpio.PinIO { return nil }, line: func(string, int) Output { return nil }}
	if _, err := none.open("GPIO17"); !errors.Is(err, ErrNoOutputs) {
		t.Errorf("a machine without outputs: %v", err)
	}
}
