package capture

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/linekeeper/linekeeper/pcm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeCard is a sound card in a synctest bubble: it can be pulled out, hang, and lose frames.
type fakeCard struct {
	begun time.Time
	fmt   pcm.Format

	mu      sync.Mutex
	absent  error
	silent  bool          // delivers nothing, and does not say why
	overrun bool          // loses frames before the next that it delivers
	hangs   bool          // does not close
	holds   chan struct{} // nil, or held up opening until this is closed
	port    string
	current *fakeDevice
	opens   int
}

type fakeDevice struct {
	card *fakeCard
	fmt  pcm.Format
	q    *queue
	some chan struct{} // a token when there may be audio
	gone chan struct{}
	stop chan struct{}
	done chan struct{}

	pulled bool // for ever: what comes back is opened anew
}

func (f *fakeCard) set(change func(f *fakeCard)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeCard) now() time.Duration { return time.Since(f.begun) + time.Hour }

func (f *fakeCard) open() (device, error) {
	f.mu.Lock()
	holds := f.holds
	f.mu.Unlock()
	if holds != nil {
		<-holds
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opens++
	if f.absent != nil {
		return nil, f.absent
	}
	period := f.fmt.Rate / 5 * f.fmt.Channels
	q, err := newQueue(f.now)
	if err == nil {
		err = q.size(20, period, f.fmt.Channels)
	}
	if err != nil {
		return nil, err
	}
	d := &fakeDevice{f, f.fmt, q, make(chan struct{}, 1), make(chan struct{}), make(chan struct{}), make(chan struct{}), false}
	f.current = d
	go d.deliver(period)
	return d, nil
}

func (d *fakeDevice) deliver(period int) {
	defer close(d.done)
	tick := time.NewTicker(testPeriod)
	defer tick.Stop()
	frame := make([]int16, period)
	for {
		select {
		case <-tick.C:
			d.card.set(func(f *fakeCard) {
				if f.silent || d.pulled {
					return
				}
				if f.overrun {
					f.overrun = false
					d.q.breakHere()
				}
				d.q.write(frame)
			})
			d.wake()
		case <-d.stop:
			return
		}
	}
}

func (d *fakeDevice) queue() *queue { return d.q }

func (d *fakeDevice) opened() opened {
	d.card.mu.Lock()
	defer d.card.mu.Unlock()
	return opened{format: d.fmt, buffer: 2 * time.Second, port: d.card.port}
}

func (d *fakeDevice) wake() {
	select {
	case d.some <- struct{}{}:
	default:
	}
}

func (d *fakeDevice) wait(until time.Time) error {
	deadline := time.NewTimer(time.Until(until))
	defer deadline.Stop()
	select {
	case <-d.some:
		return nil
	case <-d.gone:
		return errors.New("gone")
	case <-deadline.C:
		return os.ErrDeadlineExceeded
	}
}

func (d *fakeDevice) close() error {
	close(d.stop)
	<-d.done
	d.card.mu.Lock()
	defer d.card.mu.Unlock()
	if d.card.hangs {
		return errStuck
	}
	d.q.flush()
	return nil
}

// heard is what a sink was given, for one line.
type heard struct {
	t       *testing.T
	next    int64
	samples int
	lost    map[string]int64
	reports int // periods without samples
	longest time.Duration
	last    time.Duration
}

func (h *heard) period(p pcm.Period) {
	if p.Position != h.next+p.LostFrames {
		h.t.Errorf("position %d after %d and a loss of %d", p.Position, h.next, p.LostFrames)
	}
	if (p.LostFrames > 0) != (p.Cause != "") {
		h.t.Errorf("loss of %d, cause %q", p.LostFrames, p.Cause)
	}
	if p.At < h.last {
		h.t.Errorf("time went back from %v to %v", h.last, p.At)
	}
	if h.last > 0 {
		h.longest = max(h.longest, p.At-h.last)
	}
	h.last = p.At
	h.next = p.Position + int64(p.Frames())
	h.samples += p.Frames()
	h.lost[p.Cause] += p.LostFrames
	if p.Samples == nil {
		h.reports++
	}
}

// runFake runs a card with two lines of a stereo device in a bubble, while script acts on it.
func runFake(t *testing.T, fake *fakeCard, script func(f *fakeCard, c *Card, h *heard)) {
	runFakeAs(t, fake, Config{Device: "fake"}, script)
}

func runFakeAs(t *testing.T, fake *fakeCard, cfg Config, script func(f *fakeCard, c *Card, h *heard)) {
	synctest.Test(t, func(t *testing.T) { runFakeIn(t, fake, cfg, script) })
}

// runFakeIn is runFakeAs in a bubble that there is.
func runFakeIn(t *testing.T, f *fakeCard, cfg Config, script func(f *fakeCard, c *Card, h *heard)) {
	f.begun = time.Now()
	if f.fmt.Channels == 0 {
		f.fmt = pcmFormat(8000, 2)
	}
	var log bytes.Buffer
	cfg.Lines = []LineConfig{{"a", []int{0}}, {"b", []int{1}}}
	c := New(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	c.open, c.now = f.open, f.now
	h, other := &heard{t: t, lost: map[string]int64{}}, &heard{t: t, lost: map[string]int64{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- c.Run(ctx, func(line int, p pcm.Period) { []*heard{h, other}[line].period(p) })
	}()
	script(f, c, h)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if h.next != other.next || h.samples != other.samples {
		t.Errorf("the lines differ: %d and %d frames", h.next, other.next)
	}
	if c.Status().Open {
		t.Error("still open after Run")
	}
	if n := strings.Count(log.String(), "\n"); n > 12+4*int(c.Status().Reopened) {
		t.Errorf("%d log lines:\n%s", n, log.String())
	}
}

// near allows for what a retry and two periods take.
func (h *heard) near(what string, got, want int64) {
	h.t.Helper()
	if off := got - want; off < -7200 || off > 7200 {
		h.t.Errorf("%s: %d frames, want %d within 0.9 s", what, got, want)
	}
}

// at checks a position, which has to be true within a period.
func (h *heard) at(want time.Duration) {
	h.t.Helper()
	if off := h.next - pcmFormat(8000, 1).Frames(want); off < -1600 || off > 1600 {
		h.t.Errorf("position %d after %v, off by %d", h.next, want, off)
	}
}

func TestCardDelivers(t *testing.T) {
	runFake(t, &fakeCard{}, func(_ *fakeCard, c *Card, h *heard) {
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if h.samples != 80000 || h.next != 80000 || h.longest != testPeriod {
			t.Errorf("%+v", h)
		}
		if s := c.Status(); !s.Open || s.Rate != 8000 || s.Channels != 2 || s.Err != "" || s.LostFrames != 0 || s.Buffer != 2*time.Second {
			t.Errorf("%+v", s)
		}
	})
}

func TestCardThatIsPulledOutAndPutBack(t *testing.T) {
	for name, pull := range map[string]func(*fakeCard){
		"with a word":    func(f *fakeCard) { f.silent = true; close(f.current.gone) },
		"without a word": func(f *fakeCard) { f.silent = true },
		"and hangs":      func(f *fakeCard) { f.silent, f.hangs = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			runFake(t, &fakeCard{}, func(f *fakeCard, c *Card, h *heard) {
				time.Sleep(5 * time.Second)
				f.set(func(f *fakeCard) { f.absent = errors.New("no such device") })
				f.set(pull)
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if s := c.Status(); s.Open || s.Err != "no such device" {
					t.Errorf("while it is away: %+v", s)
				}
				h.near("position while it is away", h.next, 25*8000)
				if h.longest > 2*time.Second {
					t.Errorf("nothing was said for %v", h.longest)
				}
				f.set(func(f *fakeCard) { f.absent, f.silent = nil, false })
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if s := c.Status(); !s.Open || s.Reopened != 1 || s.Err != "" {
					t.Errorf("3 s after it is back: %+v", s)
				}
				time.Sleep(7 * time.Second)
				synctest.Wait()
				h.at(35 * time.Second)
				h.near("lost", h.lost[causeCardLost], 20*8000)
				stuck := int64(0)
				if f.hangs {
					stuck = 1
				}
				if s := c.Status(); s.LostFrames != h.lost[causeCardLost] || s.Overruns != 0 || s.Stuck != stuck {
					t.Errorf("in the end: %+v", s)
				}
			})
		})
	}
}

// TestCardThatIsPulledOutAHundredTimes: each time at another moment of the period and for another time.
func TestCardThatIsPulledOutAHundredTimes(t *testing.T) {
	runFake(t, &fakeCard{}, func(f *fakeCard, c *Card, h *heard) {
		for i := range 100 {
			time.Sleep(5*time.Second + time.Duration(i*37)*time.Millisecond)
			f.set(func(f *fakeCard) {
				f.absent, f.current.pulled = errors.New("no such device"), true
				if i%2 == 0 { // the other half says nothing
					close(f.current.gone)
				}
			})
			time.Sleep(time.Duration(i*i) * time.Millisecond)
			f.set(func(f *fakeCard) { f.absent = nil })
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if s := c.Status(); !s.Open || s.Reopened != int64(i+1) {
				t.Fatalf("pulled out %d times: 3 s after it is back: %+v", i+1, s)
			}
		}
		h.at(f.now() - time.Hour)
		if s := c.Status(); s.LostFrames != h.lost[causeCardLost] || s.Overruns != 0 || s.Reopened != 100 {
			t.Errorf("%+v, heard of a loss of %v", s, h.lost)
		}
	})
}

func TestCardThatIsAbsentAtFirst(t *testing.T) {
	runFake(t, &fakeCard{absent: errors.New("no such device")}, func(f *fakeCard, c *Card, h *heard) {
		time.Sleep(time.Hour)
		synctest.Wait()
		h.near("position", h.next, 3600*8000)
		if s := c.Status(); s.Open || s.Err == "" || s.Reopened != 0 {
			t.Errorf("%+v", s)
		}
		if h.reports < 1800 || h.reports > 3600 {
			t.Errorf("%d reports in an hour", h.reports)
		}
		f.set(func(f *fakeCard) {
			if f.opens < 3600 {
				t.Errorf("tried %d times in an hour", f.opens)
			}
		})
		f.set(func(f *fakeCard) { f.absent = nil })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		h.at(3610 * time.Second)
		h.near("heard", int64(h.samples), 10*8000)
	})
}

func TestCardOverruns(t *testing.T) {
	runFake(t, &fakeCard{}, func(f *fakeCard, c *Card, h *heard) {
		time.Sleep(10*time.Second + 50*time.Millisecond)
		f.set(func(f *fakeCard) { f.silent, f.overrun = true, true })
		time.Sleep(600 * time.Millisecond) // three periods, at 10.2, 10.4 and 10.6 s
		f.set(func(f *fakeCard) { f.silent = false })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if h.lost[causeOverrun] != 3*1600 || h.next != 20600*8 {
			t.Errorf("lost %v, position %d", h.lost, h.next)
		}
		if s := c.Status(); s.Overruns != 1 || s.LostFrames != 3*1600 || s.Reopened != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestCardWithTooFewChannelsSaysSo(t *testing.T) {
	runFake(t, &fakeCard{fmt: pcmFormat(8000, 1)}, func(_ *fakeCard, c *Card, _ *heard) {
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := c.Status(); s.Open || !strings.Contains(s.Err, "channel 1") {
			t.Errorf("%+v", s)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Device: "hw:0", Lines: []LineConfig{{"a", []int{0}}}}
	for want, change := range map[string]func(*Config){
		"no device":  func(c *Config) { c.Device = "" },
		"colon":      func(c *Config) { c.Device = ":0,0" },
		"bytes":      func(c *Config) { c.Device = strings.Repeat("x", 300) },
		"USB port":   func(c *Config) { c.Port = "1-1.2" },
		"card rate":  func(c *Config) { c.Rate = 50 },
		"line rate":  func(c *Config) { c.LineRate = 44100 },
		"period":     func(c *Config) { c.Period = time.Millisecond },
		"buffer":     func(c *Config) { c.Buffer = 100 * time.Millisecond },
		"watchdog":   func(c *Config) { c.Watchdog = 300 * time.Millisecond },
		"no lines":   func(c *Config) { c.Lines = nil },
		"3 channels": func(c *Config) { c.Lines = []LineConfig{{"a", []int{0, 1, 2}}} },
		"channel -1": func(c *Config) { c.Lines = []LineConfig{{"a", []int{-1}}} },
	} {
		cfg := good
		change(&cfg)
		err := New(cfg, slog.New(slog.DiscardHandler)).Run(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
