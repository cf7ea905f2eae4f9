package gpio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pin is a fake pin that writes down when it changes.
type pin struct {
	gpiotest.Pin
	start   time.Time
	changes []string // "on 100ms": since start
	err     error
}

func (p *pin) Out(level gpio.Level) error {
	p.Lock()
	defer p.Unlock()
	if p.err != nil {
		return p.err
	}
	word := map[gpio.Level]string{gpio.High: "on", gpio.Low: "off"}[level]
	p.changes = append(p.changes, fmt.Sprint(word, " ", time.Since(p.start)))
	p.L = level
	return nil
}

// seen is what the pin did, up to this moment of fake time.
func (p *pin) seen() []string {
	synctest.Wait()
	p.Lock()
	defer p.Unlock()
	return slices.Clone(p.changes)
}

func (p *pin) fail(err error) {
	p.Lock()
	defer p.Unlock()
	p.err = err
}

// run lets a light run in a bubble of fake time while during is called.
func run(t *testing.T, p *pin, during func(l *Light)) *bytes.Buffer {
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		p.start = time.Now()
		l := NewLight(p, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.Run(ctx)
		}()
		synctest.Wait()
		during(l)
		cancel()
		<-done
		if p.err == nil && p.Read() != gpio.Low {
			t.Error("the light is on after Run has returned")
		}
	})
	return &log
}

func TestPatterns(t *testing.T) {
	var ten []string
	for i := range 10 {
		ten = append(ten, fmt.Sprint("on ", time.Duration(i)*200*time.Millisecond), fmt.Sprint("off ", time.Duration(i)*200*time.Millisecond+100*time.Millisecond))
	}
	for _, tt := range []struct {
		name    string
		pattern Pattern
		last    time.Duration
		want    string
	}{
		{"off", Off, time.Minute, ""},
		{"fault", FastBlink, 450 * time.Millisecond, "on 0s, off 100ms, on 200ms, off 300ms, on 400ms"},
		{"provisioning", DoubleBlink, 1300 * time.Millisecond, "on 0s, off 100ms, on 250ms, off 350ms, on 1s, off 1.1s, on 1.25s"},
		{"accepted", LongOn, time.Minute, "on 0s, off 3s"},
		{"refused", TenBlinks, time.Minute, strings.Join(ten, ", ")},
		{"recording", On, 5 * time.Hour, "on 0s"},
		{"pause", OnWithDark, 2500 * time.Millisecond, "on 0s, off 900ms, on 1s, off 1.9s, on 2s"},
		{"alarm", TwoBlinks, 3600 * time.Millisecond, "on 0s, off 200ms, on 500ms, off 700ms, on 3s, off 3.2s, on 3.5s"},
		{"offline", SlowBlink, 4500 * time.Millisecond, "on 0s, off 1s, on 2s, off 3s, on 4s"},
		{"idle", Flash, 10*time.Second + 10*time.Millisecond, "on 0s, off 50ms, on 5s, off 5.05s, on 10s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &pin{}
			run(t, p, func(l *Light) {
				l.Show(tt.pattern)
				time.Sleep(tt.last)
				want := []string{"off 0s"}
				if tt.want != "" {
					want = append(want, strings.Split(tt.want, ", ")...)
				}
				if got := p.seen(); !slices.Equal(got, want) {
					t.Errorf("the light went %q, want %q", got, want)
				}
			})
		})
	}
}

func TestChangesAtOnce(t *testing.T) {
	p := &pin{}
	run(t, p, func(l *Light) {
		l.Show(Flash)
		time.Sleep(1234 * time.Millisecond)
		l.Show(On)
		time.Sleep(time.Second)
		l.Show(SlowBlink) // begins with on: nothing changes yet
		time.Sleep(1500 * time.Millisecond)
		l.Show(SlowBlink) // goes on undisturbed
		time.Sleep(600 * time.Millisecond)
		l.Show(LongOn)
		time.Sleep(10 * time.Second)
		l.Show(LongOn) // is not seen again
		time.Sleep(10 * time.Second)
		l.Show(Off)
		time.Sleep(time.Second)
	})
	want := []string{"off 0s", "on 0s", "off 50ms", "on 1.234s", "off 3.234s", "on 4.234s", "off 7.334s"}
	if !slices.Equal(p.changes, want) {
		t.Errorf("the light went %q, want %q", p.changes, want)
	}
}

func TestOutputFails(t *testing.T) {
	p := &pin{err: errors.New("no such device")}
	log := run(t, p, func(l *Light) {
		l.Show(FastBlink)
		time.Sleep(10 * time.Second)
		p.fail(nil)
		time.Sleep(10 * time.Second)
	})
	if n := strings.Count(log.String(), "no such device"); n != 1 {
		t.Errorf("the failure is logged %d times:\n%s", n, log)
	}
	if !strings.Contains(log.String(), "works again") || len(p.changes) < 90 {
		t.Errorf("it did not go on: %d changes, log:\n%s", len(p.changes), log)
	}
}

func TestThreeLights(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want Pattern
	}{
		{"not recording", RecordLight(false, true), Off},
		{"recording", RecordLight(true, false), On},
		{"paused", RecordLight(true, true), OnWithDark},
		{"online", LinkLight(false, 7), On},
		{"offline", LinkLight(true, 7), SlowBlink},
		{"offline, nothing waits", LinkLight(true, 0), Off},
		{"fault", FaultLight(true, true), FastBlink},
		{"alarm", FaultLight(false, true), TwoBlinks},
		{"well", FaultLight(false, false), Flash},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: pattern %d, want %d", tt.name, tt.got, tt.want)
		}
	}
}
