// Package handset knows when a USB handset is lifted and put back.
//
//	h := handset.New(handset.Place{Port: "usbe23b_1_2"}, bootTime, log)
//	h.Run(ctx, func(c handset.Change) {
//		fmt.Println(c.Lifted, c.At)
//	})
//
// A handset is named by the USB port that it is in, as sound cards are; one that is no USB device, such as a hook that a
// board's device tree names as a key, by the name of its input device. Its hook is read
//
//   - from its HID reports (/dev/hidraw*), at the place where its report descriptor has a hook switch (Telephony page,
//     usage 0x20). Linux makes no key of it: hid-input.c ignores that usage, so that no event ever comes of it;
//   - where it has none, from its keys (/dev/input/event*): KEY_PHONE, which is down while the handset is lifted, or
//     KEY_PICKUP_PHONE and KEY_HANGUP_PHONE, which are pressed. No switch (SW_*) of Linux is of a hook.
//
// Neither is taken from others who read it. Whatever else the device says is not looked at; of its keys the kernel is told
// to deliver no others.
//
// A handset may be away, at first or later: it is looked for all the time. What it said last holds while it is away, and
// when it is back it is asked where its hook is. One that was lifted and does not come back is taken for put back after
// Patience.
package handset

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Patience is how long a handset that was lifted may be away.
const Patience = 30 * time.Second

// lookAgain is how often it is looked for.
const lookAgain = 500 * time.Millisecond

// Change says that a handset was lifted, or put back.
type Change struct {
	Lifted bool
	At     time.Duration // CLOCK_BOOTTIME
}

// Handset is the hook of a handset. See New.
type Handset struct {
	place Place
	now   func() time.Duration
	log   *slog.Logger
	sys   fs.FS
	open  func(node) (stream, error)

	mu     sync.Mutex
	told   func(Change)
	lifted bool
	opened map[string]node // what is read, by path
	gone   time.Duration   // when the last of these went
	failed string          // what was logged
}

// New makes the handset that is, or will be, in a place. The clock is CLOCK_BOOTTIME.
func New(at Place, clock func() time.Duration, log *slog.Logger) *Handset {
	return &Handset{
		place: at, now: clock, log: log.With("handset", at.String()),
		sys: os.DirFS("/sys"), open: openDevice, opened: map[string]node{},
	}
}

// HasHook says whether what is in a place now has a hook.
func HasHook(at Place) bool { return len(at.find(os.DirFS("/sys"))) > 0 }

// Present says whether the handset is there now, and its hook is read. It is safe for concurrent use.
func (h *Handset) Present() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.opened) > 0
}

// Run tells of every change, from put back on, until ctx ends. It is called once. The changes of a handset are told one
// after the other, in the order of their coming; of a handset that has two hooks which disagree, the last one counts.
func (h *Handset) Run(ctx context.Context, told func(Change)) {
	h.told = told
	var readers sync.WaitGroup
	defer readers.Wait()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		h.look(ctx, &readers)
		h.giveUp()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look opens the nodes that are new. Where raw HID tells of the hook, keys are not asked.
func (h *Handset) look(ctx context.Context, readers *sync.WaitGroup) {
	var failed error
	for _, n := range h.place.find(h.sys) {
		if h.reads(n) {
			continue
		}
		s, err := h.open(n)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		h.begin(n)
		readers.Go(func() {
			h.listen(ctx, n, s)
			h.end(ctx, n)
		})
	}
	h.report(failed)
}

// reads says whether a node is read, or another one in its place.
func (h *Handset) reads(n node) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for path, other := range h.opened {
		if path == n.path || other.raw && !n.raw {
			return true
		}
	}
	return false
}

func (h *Handset) begin(n node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opened[n.path] = n
	h.log.Info("the hook of the handset is read", "from", n.path)
}

func (h *Handset) end(ctx context.Context, n node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.opened, n.path)
	h.gone = h.now()
	if ctx.Err() == nil {
		h.log.Warn("the handset is away: plug it in again", "from", n.path)
	}
}

// report logs what keeps a handset that is there from being read, once.
func (h *Handset) report(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != h.failed && err != nil {
		h.log.Warn("the hook of the handset cannot be read: may the recorder's user read it?", "error", err)
	}
	h.failed = said
}

// listen reads a node until it goes away or ctx ends.
func (h *Handset) listen(ctx context.Context, n node, s stream) {
	closed := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer func() {
		if closed() {
			_ = s.Close()
		}
	}()
	h.mu.Lock()
	d := n.decoder(h.lifted)
	h.mu.Unlock()
	again := true
	data := make([]byte, n.longest())
	for {
		if again {
			h.ask(d, s)
		}
		count, err := s.Read(data)
		again = d.read(data[:count], h.now(), h.tell)
		if err != nil {
			return
		}
	}
}

// ask asks a device where its hook is; not every one can say.
func (h *Handset) ask(d decoder, s stream) {
	answer, err := s.State()
	if err != nil {
		return
	}
	if lifted, known := d.state(answer); known {
		h.tell(Change{Lifted: lifted, At: h.now()})
	}
}

// giveUp has a handset that stays away put back.
func (h *Handset) giveUp() {
	h.mu.Lock()
	now := h.now()
	late := h.lifted && len(h.opened) == 0 && now-h.gone >= Patience
	h.mu.Unlock()
	if late {
		h.log.Warn("the handset was lifted when it went away, and does not come back: it is taken for put back")
		h.tell(Change{At: now})
	}
}

// tell passes on what is new.
func (h *Handset) tell(c Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.Lifted != h.lifted {
		h.lifted = c.Lifted
		h.told(c)
	}
}
