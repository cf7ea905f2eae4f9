package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/cmd/internal/selftest"
	"github.com/linekeeper/linekeeper/gpio"
	"github.com/linekeeper/linekeeper/wire"
)

// keptTest is the name in the ring of the last self-test by the button.
const keptTest = "selftest"

// watchService has the button of the settings start a self-test that needs nobody, until ctx ends. While one goes on the
// button does nothing.
func (k *keeper) watchService(ctx context.Context) {
	if k.cfg.Service.Button == "" {
		return
	}
	button, err := gpio.OpenContact(k.cfg.Service.Button, k.log)
	if err != nil {
		k.log.Warn("no service button: `linekeeper selftest` does the same", "pin", k.cfg.Service.Button, "error", err)
		return
	}
	button.Run(ctx, func(closed bool) {
		if closed {
			k.test(ctx)
		}
	})
}

// test makes a self-test beside the recorder that runs, shows it on the light, and has headquarters told.
func (k *keeper) test(ctx context.Context) {
	k.log.Info("a self-test begins", "reason", "the button")
	k.sign.set(testRuns, time.Now())
	t := selftester{cfg: k.cfg}
	results, err := t.run(ctx)
	if ctx.Err() != nil {
		return
	}
	result := wire.Selftest{Time: k.time.Now().UTC(), Passed: err == nil}
	if err != nil {
		result.Failed = []string{err.Error()}
	}
	for _, r := range results {
		if r.Verdict != selftest.Fail {
			continue
		}
		what := string(r.Check)
		if r.Of != "" {
			what += ", " + r.Of
		}
		result.Passed, result.Failed = false, append(result.Failed, what+": "+r.Says)
		k.log.Warn("the self-test failed", "check", what, "reason", r.Says)
	}
	k.tested.Store(&result)
	if err := keepTest(k.ring, result); err != nil {
		k.log.Error("the self-test's result is not kept over a restart", "error", err)
	}
	k.log.Info("the self-test is over", "passed", result.Passed)
	if result.Passed {
		k.sign.set(testPassed, time.Now())
	} else {
		k.sign.set(testFailed, time.Now())
	}
	k.wake()
}

func keepTest(ring *buffer.Ring, result wire.Selftest) error {
	text, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("keep the self-test: %w", err)
	}
	return ring.Keep(keptTest, text)
}

// lastTest is the result that the ring has; nil: none.
func lastTest(ring *buffer.Ring) *wire.Selftest {
	var result wire.Selftest
	if json.Unmarshal(ring.Kept(keptTest), &result) != nil {
		return nil
	}
	return &result
}
