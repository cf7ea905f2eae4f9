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

// stickState is what whoever has a stick in hand tells the recorder, which shows it on its light.
type stickState string

const (
	stickReading  stickState = "reading"
	stickAccepted stickState = "accepted"
	stickRefused  stickState = "refused"
)

// How long each may be shown: a reader that was killed must not keep the light from saying what else there is.
var stickShown = map[stickState]time.Duration{
	stickReading:  10 * time.Minute,
	stickAccepted: 3 * time.Second,
	stickRefused:  2 * time.Second,
}

var stickPatterns = map[stickState]gpio.Pattern{
	stickReading:  gpio.DoubleBlink,
	stickAccepted: gpio.LongOn,
	stickRefused:  gpio.TenBlinks,
}

type stickRequest struct {
	State stickState `json:"state"`
}

// light tells the recorder what is being done with a stick; it says whether one runs.
func (c config) light(ctx context.Context, s stickState) bool {
	var answer struct{}
	return tellControl(ctx, c.Control, controlStick, stickRequest{s}, &answer) == nil
}

// stickSign is what is shown of a stick. Its zero value shows nothing.
type stickSign struct {
	mu    sync.Mutex
	state stickState
	until time.Time
}

func (s *stickSign) answer(w http.ResponseWriter, r *http.Request) {
	var request stickRequest
	if err := readJSON(w, r, &request); err != nil || stickShown[request.State] == 0 {
		http.Error(w, "not a state of a stick", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.state, s.until = request.State, time.Now().Add(stickShown[request.State])
	s.mu.Unlock()
	writeJSON(w, struct{}{})
}

// shown is what is to be seen now; empty: nothing.
func (s *stickSign) shown(now time.Time) stickState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.After(s.until) {
		return ""
	}
	return s.state
}

// verdict says that somebody has to see yet what became of a stick.
func (s *stickSign) verdict(now time.Time) bool {
	shown := s.shown(now)
	return shown == stickAccepted || shown == stickRefused
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

// waitForBundle shows that the recorder is not set up, and what becomes of a stick, until a bundle is there or ctx ends.
func waitForBundle(ctx context.Context, c config, log *slog.Logger) error {
	log.Info("waiting for a stick with a bundle: this recorder is not set up", "settings", c.file)
	lights, sign, watch := openLights(c.Light, log), new(stickSign), watchBundle(c.provisionedFile())
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+controlStick, sign.answer)
	mux.Handle("GET "+controlStatus, answerJSON(func() (statusReport, error) {
		return statusReport{
			Status: wire.Status{Time: time.Now().UTC(), Software: version, State: call.StateAlarm, Lines: []wire.LineStatus{},
				Reasons: []string{"not set up: put in a stick with a bundle, or write the settings"}},
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
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady+"\nSTATUS=not set up: waiting for a stick with a bundle")
		for ; ; ticks++ {
			dog.feed(time.Now(), ticks, buffer.Status{})
			lights.show(call.Conditions{Alarm: true}, sign.shown(time.Now()))
			if watch.changed() && !sign.verdict(time.Now()) {
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
