package device

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/pcm"
)

// Lines of the simulated GPIO chip, named GPIO0 to GPIO27 as a Raspberry Pi's.
const Lines = 28

// line is the folder of a line of the chip. What is simulated has one for each, beside what every chip has.
func (d *Device) line(ctx context.Context, number int) (string, error) {
	if number < 0 || number >= Lines {
		return "", fmt.Errorf("GPIO line %d: there are 0 to %d", number, Lines-1)
	}
	found, err := d.Shell(ctx, fmt.Sprintf("echo /sys/devices/platform/gpio-sim.*/gpiochip*/sim_gpio%d", number))
	return strings.TrimSpace(found), err
}

// Level is whether a line of the GPIO chip is high now, be it an output or an input.
func (d *Device) Level(ctx context.Context, number int) (bool, error) {
	line, err := d.line(ctx, number)
	if err != nil {
		return false, err
	}
	text, err := d.ReadFile(ctx, line+"/value")
	return strings.TrimSpace(string(text)) == "1", err
}

// Pull pulls an input of the GPIO chip high or low, as a contact would.
func (d *Device) Pull(ctx context.Context, number int, high bool) error {
	line, err := d.line(ctx, number)
	if err != nil {
		return err
	}
	_, err = d.Shell(ctx, fmt.Sprintf("echo %s >%s/pull", map[bool]string{true: "pull-up", false: "pull-down"}[high], line))
	return err
}

// Cards is how many sound cards there are, named Line1 and Line2. What is played into a card's device 0 is recorded from
// its device 1, each with eight substreams.
const Cards = 2

// Sound is what is played into a sound card. The last 12 to 68 ms may be lost: end with silence.
type Sound struct {
	Card           int // from 1
	Substream      int // from 0
	Rate, Channels int
	Samples        []int16 // interleaved
}

// Microphone is the ALSA device that hears what is played into a substream of a card.
func Microphone(card, substream int) string {
	return fmt.Sprintf("hw:CARD=Line%d,DEV=1,SUBDEV=%d", card, substream)
}

// Play plays a sound, and returns when it was played; an error where the guest was too slow to play all of it in time.
// Where somebody listens already, it is brought to their rate.
func (d *Device) Play(ctx context.Context, s Sound) error {
	file := fmt.Sprintf("/run/lab-sound-%d-%d.raw", s.Card, s.Substream)
	if err := d.WriteFile(ctx, file, pcm.AppendBytes(nil, s.Samples), 0o600); err != nil {
		return err
	}
	said, err := d.Run(ctx, "sh", "-c", `exec "$@" 2>&1`, "sh", "aplay", "-q", "-D",
		fmt.Sprintf("plughw:CARD=Line%d,DEV=0,SUBDEV=%d", s.Card, s.Substream), "-t", "raw", "-f", "S16_LE",
		"-r", fmt.Sprint(s.Rate), "-c", fmt.Sprint(s.Channels), "--buffer-time=4000000", file)
	if err == nil && strings.Contains(said, "underrun") {
		err = fmt.Errorf("play into card %d: %s", s.Card, said)
	}
	return err
}

// PlugCard puts a sound card in, or pulls it out, with whoever has it open.
func (d *Device) PlugCard(ctx context.Context, card int, in bool) error {
	verb := map[bool]string{true: "bind", false: "unbind"}[in]
	_, err := d.Shell(ctx, fmt.Sprintf("echo snd_aloop.%d >/sys/bus/platform/drivers/snd_aloop/%s", card-1, verb))
	return err
}

// SetLink plugs the network cable in, or pulls it.
func (d *Device) SetLink(ctx context.Context, up bool) error {
	return d.monitor(ctx, "set_link", map[string]any{"name": "card", "up": up})
}

// ShapeNetwork has the kernel of the guest delay, lose and limit what it sends: netem of tc(8), such as "delay 300ms loss
// 5%"; empty: no longer.
func (d *Device) ShapeNetwork(ctx context.Context, netem string) error {
	const card = `card=$(basename "$(ls -d /sys/class/net/en* | head -n 1)"); `
	if netem == "" {
		_, err := d.Shell(ctx, card+`tc qdisc del dev "$card" root`)
		return err
	}
	_, err := d.Shell(ctx, card+`tc qdisc replace dev "$card" root netem `+netem)
	return err
}

// PlugStick puts a USB stick in whose content is the raw image in a file of the host; it is found again by its name, which
// is also its serial number. The guest sees it about a second later.
func (d *Device) PlugStick(ctx context.Context, name, image string) error {
	if err := d.monitor(ctx, "blockdev-add", map[string]any{"driver": "raw", "node-name": "stick-" + name,
		"file": map[string]any{"driver": "file", "filename": image}}); err != nil {
		return err
	}
	return d.monitor(ctx, "device_add", map[string]any{"driver": "usb-storage", "id": "usb-" + name, "bus": "usb.0",
		"drive": "stick-" + name, "serial": name, "removable": true})
}

// PullStick pulls a USB stick out, written to or not.
func (d *Device) PullStick(ctx context.Context, name string) error {
	if err := d.monitor(ctx, "device_del", map[string]any{"id": "usb-" + name}); err != nil {
		return err
	}
	// The stick's file is let go only once QEMU has taken the stick out.
	for {
		err := d.monitor(ctx, "blockdev-del", map[string]any{"node-name": "stick-" + name})
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-d.Dead():
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// PlugKeyboard puts a USB keyboard in, into a port where a stick goes too.
func (d *Device) PlugKeyboard(ctx context.Context) error {
	return d.monitor(ctx, "device_add", map[string]any{"driver": "usb-kbd", "id": "usb-keyboard", "bus": "usb.0"})
}

// PullKeyboard pulls it out.
func (d *Device) PullKeyboard(ctx context.Context) error {
	return d.monitor(ctx, "device_del", map[string]any{"id": "usb-keyboard"})
}

// Type presses keys of the USB keyboard one after the other, by QEMU's names for them, such as "a", "ret", "f1".
func (d *Device) Type(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := d.monitor(ctx, "send-key", map[string]any{"keys": []any{map[string]any{"type": "qcode", "data": key}}, "hold-time": 50}); err != nil {
			return fmt.Errorf("type %s: %w", key, err)
		}
	}
	return nil
}

func (d *Device) monitor(ctx context.Context, command string, arguments map[string]any) error {
	b, err := d.current()
	if err != nil {
		return err
	}
	return b.qmp.do(ctx, command, arguments)
}
