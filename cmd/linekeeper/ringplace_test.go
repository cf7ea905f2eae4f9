package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
)

// TestRingThatIsAway: where the file system of the ring is not mounted the recorder keeps calls beside it, in what room there is,
// and says so.
func TestRingThatIsAway(t *testing.T) {
	key, _, err := seal.NewKey()
	check(t, err)
	for _, away := range []bool{false, true} {
		cfg := newConfig()
		cfg.Data, cfg.Ring.Size = t.TempDir(), leastRing
		check(t, os.Mkdir(cfg.ringDir(), 0o700))
		if away {
			cfg.Ring.Size = mostRing // as its own file system may have it
			check(t, os.WriteFile(filepath.Join(cfg.ringDir(), notMounted), nil, 0o600))
		}
		id, err := loadIdentity(cfg.identityDir(), false, "")
		check(t, err)
		id.recipients.to = seal.Recipients{key.Recipient()}
		clock, err := newSystemClock()
		check(t, err)
		d, err := openDevice(cfg, id, clock, observer{discard}, discard)
		check(t, err)
		d.time, err = d.newTimekeeper(clock, discard)
		check(t, err)
		d.board = openBoard(cfg.Data, cfg.ringDir(), discard)
		k, err := newKeeper(d, discard)
		check(t, err)
		conditions, _ := k.conditions(d.ring.Status())
		s := k.status()
		if told := slices.Contains(s.Reasons, ringBeside); told != away || away && (!conditions.Alarm || s.State != call.StateAlarm) {
			t.Errorf("away %t: told %t, %+v, %v: %v", away, told, conditions, s.State, s.Reasons)
		}
		if s.Ring.SizeBytes > sharedRing {
			t.Errorf("away %t: a ring of %d bytes", away, s.Ring.SizeBytes)
		}
		check(t, d.recorder.Stop())
		check(t, d.ring.Close())
	}
}

// TestOwes: what the card asks before it mounts a file system over a ring.
func TestOwes(t *testing.T) {
	i := newInstaller(t)
	owes := func(want int) {
		t.Helper()
		if code, _, errs := i.run("owes"); code != want {
			t.Errorf("exit code %d, want %d: %s", code, want, errs)
		}
	}
	owes(1) // no ring
	i.bundle(nil)
	i.apply()
	c, err := loadConfig(i.config)
	check(t, err)
	check(t, os.MkdirAll(c.ringDir(), 0o700))
	id, err := loadIdentity(c.identityDir(), true, c.Uplink.HTTPS)
	check(t, err)
	clock, err := newSystemClock()
	check(t, err)
	c.Lines, c.Ring.Size = nil, leastRing
	d, err := openDevice(c, id, clock, observer{discard}, discard)
	check(t, err)
	check(t, d.recorder.Stop())
	check(t, d.ring.Close())
	owes(0) // the entry with which the ring begins
	d, err = openDevice(c, id, clock, observer{discard}, discard)
	check(t, err)
	state := d.ring.State()
	check(t, d.ring.Accept(call.Receipt{Epoch: state.Epoch, First: 1, Last: state.Last}, "a receipt"))
	check(t, d.recorder.Stop())
	check(t, d.ring.Close())
	owes(1)
	check(t, os.WriteFile(i.config, []byte("nonsense"), 0o600))
	owes(0)
}
