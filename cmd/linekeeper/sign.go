package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/gpio"
	"github.com/linekeeper/linekeeper/wire"
)

// sign is what whoever has a stick in hand, or has pressed the button, is told by the light.
type sign string

const (
	stickReading  sign = "reading"
	stickAccepted sign = "accepted"
	stickRefused  sign = "refused"

	testRuns   sign = "testing"
	testPassed sign = "passed"
	testFailed sign = "failed"
)

// signs say how long each may be shown (a reader that was killed must not keep the light from saying what else there is), how,
// and what it is in words.
var signs = map[sign]struct {
	shown   time.Duration
	pattern gpio.Pattern
	words   string
}{
	stickReading:  {10 * time.Minute, gpio.DoubleBlink, "a stick is read"},
	stickAccepted: {3 * time.Second, gpio.LongOn, "a stick was accepted"},
	stickRefused:  {2 * time.Second, gpio.TenBlinks, "a stick was refused"},

	testRuns:   {10 * time.Minute, gpio.DoubleBlink, "a self-test goes on"},
	testPassed: {3 * time.Second, gpio.LongOn, "the self-test passed"},
	testFailed: {2 * time.Second, gpio.TenBlinks, "the self-test failed"},
}

type stickRequest struct {
	State sign `json:"state"`
}

// light tells the recorder what is being done with a stick; it says whether one runs.
func (c config) light(ctx context.Context, s sign) bool {
	var answer struct{}
	return tellControl(ctx, c.Control, controlStick, stickRequest{s}, &answer) == nil
}

// signBoard is the sign that is shown. Its zero value shows none.
type signBoard struct {
	mu    sync.Mutex
	state sign
	until time.Time
}

func (s *signBoard) answer(w http.ResponseWriter, r *http.Request) {
	var request stickRequest
	if err := readJSON(w, r, &request); err != nil || signs[request.State].shown == 0 {
		http.Error(w, "no sign", http.StatusBadRequest)
		return
	}
	s.set(request.State, time.Now())
	writeJSON(w, struct{}{})
}

// sameStick is within what time of a refusal another one is of the same stick: its unit says that it failed, whoever has said so.
const sameStick = 10 * time.Second

func (s *signBoard) set(state sign, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == stickRefused && s.state == stickRefused && now.Before(s.until.Add(sameStick)) {
		return
	}
	s.state, s.until = state, now.Add(signs[state].shown)
}

// shown is what is to be seen now; empty: nothing.
func (s *signBoard) shown(now time.Time) sign {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.After(s.until) {
		return ""
	}
	return s.state
}

// verdict says that somebody has to see yet what became of a stick or a self-test.
func (s *signBoard) verdict(now time.Time) bool {
	shown := s.shown(now)
	return shown != "" && shown != stickReading && shown != testRuns
}

// bundleWatch notices that a bundle has given the recorder other settings than those that it began with.
type bundleWatch struct {
	file  string
	began os.FileInfo // nil: it was not there
}

func watchBundle(file string) bundleWatch {
	info, err := os.Stat(file)
	if err != nil {
		info = nil
	}
	return bundleWatch{file, info}
}

func (b bundleWatch) changed() bool {
	now, err := os.Stat(b.file)
	return err == nil && (b.began == nil || !os.SameFile(b.began, now))
}

// errNewSettings ends a recorder that has new settings: systemd starts it again.
var errNewSettings = errors.New("a bundle has brought new settings")

const notSetUp = "not set up: put in a stick with a bundle, or write the settings"

// waitForBundle shows that the recorder is not set up, and what becomes of a stick, until a bundle is there or ctx ends.
func waitForBundle(ctx context.Context, c config, log *slog.Logger) error {
	log.Info("waiting for a stick with a bundle: this recorder is not set up", "settings", c.file)
	lights, board, watch := openLights(c.Light, log), new(signBoard), watchBundle(c.provisionedFile())
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+controlStick, board.answer)
	mux.Handle("GET "+controlStatus, answerJSON(func() (statusReport, error) {
		reasons := []string{notSetUp}
		if c.ringIsBeside() {
			reasons = append(reasons, ringBeside)
		}
		if shown := board.shown(time.Now()); shown != "" {
			reasons = append(reasons, signs[shown].words)
		}
		return statusReport{
			Status: wire.Status{Time: time.Now().UTC(), Software: version, State: call.StateAlarm, Lines: []wire.LineStatus{},
				Reasons: reasons},
			Light: lights.about, Cards: []cardReport{}, Uplink: "no headquarters is known",
		}, nil
	}))
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { lights.run(ctx); return nil })
	all.Go(func() error { return serveControl(ctx, c.Control, mux, log) })
	all.Go(func() error {
		tick := time.NewTicker(keeperEvery)
		defer tick.Stop()
		dog, ticks := newWatchdog(), int64(0)
		// It is up, as systemd wants to hear: what waits for it, linekeeper-stick@ above all, goes on.
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady+"\nSTATUS="+notSetUp)
		for ; ; ticks++ {
			dog.feed(time.Now(), ticks, buffer.Status{})
			lights.show(call.Conditions{Alarm: true}, board.shown(time.Now()))
			if watch.changed() && !board.verdict(time.Now()) {
				return errNewSettings
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
	})
	err := all.Wait()
	if errors.Is(err, errNewSettings) || errors.Is(err, context.Canceled) {
		log.Info("ends", "reason", fmt.Sprint(err))
		return nil
	}
	return err
}
