package device

import (
	"context"
	"fmt"

	"github.com/linekeeper/linekeeper/lab/device/frame"
)

// HookKey is a key or switch of an input device of the guest (uinput), as a handset with a hook is one.
type HookKey struct {
	Node string // of the input device, such as /dev/input/event3

	device *Device
	name   string
}

// HookKey finds a key or switch by its name in linux/input-event-codes.h, one of frame.Hooks such as KEY_PHONE. All are
// of one input device, "Lab handset", which is there from the first call until the power goes.
func (d *Device) HookKey(ctx context.Context, name string) (HookKey, error) {
	if _, ok := frame.Hooks()[name]; !ok {
		return HookKey{}, fmt.Errorf("there is no hook key %s", name)
	}
	r, err := d.ask(ctx, frame.Request{Key: &frame.Key{}})
	if err != nil {
		return HookKey{}, fmt.Errorf("find hook key %s: %w", name, err)
	}
	return HookKey{Node: string(r.Data), device: d, name: name}, nil
}

// Press presses the key, or sets the switch, until Release.
func (k HookKey) Press(ctx context.Context) error { return k.set(ctx, true) }

// Release lets the key go.
func (k HookKey) Release(ctx context.Context) error { return k.set(ctx, false) }

func (k HookKey) set(ctx context.Context, press bool) error {
	if _, err := k.device.ask(ctx, frame.Request{Key: &frame.Key{Name: k.name, Press: press}}); err != nil {
		return fmt.Errorf("press %s (%t): %w", k.name, press, err)
	}
	return nil
}
