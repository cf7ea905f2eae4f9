package gpio

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
)

// TestContact presses a button that bounces, and one that is touched too shortly to be meant.
func TestContact(t *testing.T) {
	for name, high := range map[string]bool{"closed when low": false, "closed when high": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pin := &gpiotest.Pin{N: "button", L: gpio.Level(!high), EdgesChan: make(chan gpio.Level, 16)}
				c := NewContact(pin, high, slog.New(slog.DiscardHandler))
				if err := c.prepare(); err != nil {
					t.Fatal(err)
				}
				var told []string
				begin := time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					since := func() time.Duration { return time.Since(begin) }
					c.Watch(ctx, since, func(closed bool, at time.Duration) {
						told = append(told, map[bool]string{true: "closed", false: "open"}[closed]+fmt.Sprint(since(), " since ", at))
					})
				}()
				set := func(closed bool, after time.Duration) {
					time.Sleep(after)
					pin.EdgesChan <- gpio.Level(closed == high)
				}
				set(true, time.Second)
				set(false, 2*time.Millisecond)
				set(true, 2*time.Millisecond)
				set(false, time.Second)
				set(true, time.Second) // too short to be meant
				set(false, 5*time.Millisecond)
				time.Sleep(time.Second)
				cancel()
				<-done
				if want := []string{"closed1.024s since 1s", "open2.024s since 2.004s"}; !slices.Equal(told, want) {
					t.Errorf("told %q, want %q", told, want)
				}
			})
		})
	}
}
