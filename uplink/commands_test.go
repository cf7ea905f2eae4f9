package uplink_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// notes is a Memory. What is not synced is lost with power.
type notes struct {
	mu           sync.Mutex
	kept, synced map[string]string
	full         bool
}

func newNotes() *notes { return &notes{kept: map[string]string{}, synced: map[string]string{}} }

func (n *notes) Keep(name string, value []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.full {
		return errors.New("the ring is full")
	}
	n.kept[name] = string(value)
	return nil
}

func (n *notes) Kept(name string) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if v, ok := n.kept[name]; ok {
		return []byte(v)
	}
	return nil
}

func (n *notes) Sync() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.synced = maps.Clone(n.kept)
	return nil
}

func (n *notes) cutPower() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept = maps.Clone(n.synced)
}

// commander is a link over which commands come.
type commander struct {
	*link
	commands chan []string
	answers  error // of Answer
}

func (c *commander) Commands(ctx context.Context) ([]string, error) {
	select {
	case all := <-c.commands:
		return all, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *commander) Answer(_ context.Context, r wire.CommandResult) error {
	if c.answers != nil {
		return c.answers
	}
	if r.Error != "" {
		r.Error = ": " + r.Error
	}
	c.say("answer %d%s", r.Number, r.Error)
	return nil
}

// office is a recorder with a memory, and what is done there.
type office struct {
	*world
	notes *notes
	link  *commander
}

func newOffice(t *testing.T) *office {
	w := newWorld(t)
	return &office{world: w, notes: newNotes(), link: &commander{link: w.link("https"), commands: make(chan []string)}}
}

func (o *office) start() (stop func()) {
	o.t.Helper()
	u, err := uplink.New(o.world, []uplink.Transport{o.link}, uplink.Config{
		Device: device, Epoch: epoch, ReceiptKey: o.key.Public().(ed25519.PublicKey), Log: slog.New(slog.DiscardHandler),
		Status: func() wire.Status { return wire.Status{} }, Memory: o.notes, StatusEvery: 24 * time.Hour,
		Command: func(c wire.Command) error {
			o.say("%s %d", c.Kind, c.Number)
			if c.Kind == wire.CommandUnhold {
				return errors.New(strings.Repeat("no such call ", 100))
			}
			return nil
		},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- u.Run(ctx) }()
	synctest.Wait()
	o.happened()
	return func() { cancel(); <-done }
}

func (o *office) command(number, oldest uint64, kind wire.CommandKind, change ...func(*wire.Command)) string {
	c := wire.Command{Device: device, Number: number, Oldest: oldest, Kind: kind, Call: &call.ID{1}, Why: "court"}
	for _, f := range change {
		f(&c)
	}
	jws, err := wire.SignCommand(o.key, c)
	if err != nil {
		o.t.Fatal(err)
	}
	return jws
}

func (o *office) give(commands ...string) {
	o.link.commands <- commands
	synctest.Wait()
}

// TestCommandsOnce has each command done once, whatever comes again, and however often power fails.
func TestCommandsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		stop := o.start()
		one, two := o.command(1, 1, wire.CommandFetch), o.command(2, 1, wire.CommandFlag)
		o.give(one, two, one)
		o.expect("fetch 1", "answer 1", "flag 2", "answer 2", "answer 1")
		o.give(two)
		o.expect("answer 2")
		stop()
		o.notes.cutPower()
		stop = o.start()
		o.give(one, two)
		o.expect("answer 1", "answer 2")
		// From here on headquarters has the results: what comes again is somebody's recording.
		o.give(o.command(5, 5, wire.CommandUnflag), one, two)
		o.expect("unflag 5", "answer 5")
		stop()
	})
}

func TestCommandsThatAreNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer o.start()()
		stranger := newOffice(t)
		o.give("", "a.b.c", stranger.command(1, 1, wire.CommandFetch),
			o.command(2, 1, wire.CommandFetch, func(c *wire.Command) { c.Device = "ABCDEFGJ" }),
			o.sign(call.Receipt{Device: device, Call: &call.ID{1}, Size: 1}))
		o.expect()
		o.give(o.command(3, 1, "format"), o.command(4, 1, wire.CommandFlag, func(c *wire.Command) { c.Call = nil }), o.command(5, 1, wire.CommandUnhold))
		o.expect(`answer 3: "format" is not a command that this version knows`, "answer 4: flag: of no call", "unhold 5",
			"answer 5: "+strings.Repeat("no such call ", 100)[:80])
	})
}

// TestCommandsOnAFullCard has a command that cannot be noted left without an answer, so that it comes again.
func TestCommandsOnAFullCard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer o.start()()
		o.notes.full = true
		o.give(o.command(1, 1, wire.CommandFetch))
		o.expect("fetch 1")
		o.notes.full = false
		o.give(o.command(1, 1, wire.CommandFetch))
		o.expect("fetch 1", "answer 1")
	})
}

// TestCommandsWithoutEnd has memory stay bounded when headquarters takes no result of the oldest.
func TestCommandsWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer o.start()()
		for n := uint64(2); n < 200; n++ {
			o.give(o.command(n, 1, wire.CommandUnhold))
		}
		if b := o.notes.Kept("commands"); len(b) > 8<<10 {
			t.Errorf("%d bytes are kept", len(b))
		}
		o.happened()
		o.give(o.command(1, 1, wire.CommandFetch))
		o.expect("fetch 1", "answer 1")
		o.give(o.command(199, 199, wire.CommandFetch))
		o.expect("fetch 199", "answer 199")
	})
}

// TestCommandsPace has an answer that headquarters gives again and again, or at once without a command, not take the link.
func TestCommandsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer o.start()()
		began := time.Now()
		for range 10 {
			o.give(o.command(1, 1, wire.CommandFetch))
		}
		if d := time.Since(began); d < 9*time.Second {
			t.Errorf("asked ten times in %v", d)
		}
		began = time.Now()
		for range 10 {
			o.give()
		}
		if d := time.Since(began); d < 2*time.Minute {
			t.Errorf("asked ten times for nothing in %v", d)
		}
		o.happened()
		o.link.answers = fmt.Errorf("gone")
		o.give(o.command(2, 2, wire.CommandFetch))
		o.expect("fetch 2")
	})
}
