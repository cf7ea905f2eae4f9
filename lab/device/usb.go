package device

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/linekeeper/linekeeper/lab/device/frame"
	"github.com/linekeeper/linekeeper/lab/device/usbip"
	"github.com/linekeeper/linekeeper/pcm"
)

// USBPorts is how many ports there are for USB sound cards, from 1. They are of a controller of their own (vhci-hcd),
// beside the one that sticks go into, and keep their numbers and that of their bus for as long as the device runs.
const USBPorts = 8

// USBCard is where a USB sound card is found.
type USBCard struct {
	Bus, Port int // the kernel's name of the port is "Bus-Port"
	Index     int // ALSA's, given in the order in which cards are found
}

// Path is the kernel's name of the port, such as "3-1".
func (c USBCard) Path() string { return fmt.Sprintf("%d-%d", c.Bus, c.Port) }

// PlugUSBCard puts a USB sound card into a port, and returns once ALSA has it. Cards of a kind are all alike.
func (d *Device) PlugUSBCard(ctx context.Context, port int, kind usbip.Kind) (USBCard, error) {
	if err := d.usb(ctx, "put a USB card in", frame.USB{Port: port, Plug: &kind}); err != nil {
		return USBCard{}, err
	}
	// Of the controller's two buses the first one is for cards as old as these.
	said, err := d.Poll(ctx, fmt.Sprintf(`cd /sys/devices/platform/vhci_hcd.0 && bus=$(ls -dv usb* | head -n 1) && bus=${bus#usb} &&
		card=$(cd usb$bus/$bus-%[1]d/$bus-%[1]d:1.0/sound && echo card*) && test -e /dev/snd/controlC${card#card} && echo $bus ${card#card}`, port))
	if err != nil {
		return USBCard{}, fmt.Errorf("put a USB card into port %d: no driver takes it: %w", port, err)
	}
	bus, index, _ := strings.Cut(strings.TrimSpace(said), " ")
	card := USBCard{Port: port}
	card.Bus, err = strconv.Atoi(bus)
	if err == nil {
		card.Index, err = strconv.Atoi(index)
	}
	return card, err
}

// PullUSBCard pulls a USB sound card out, with whoever has it open, and returns once the port is free again.
func (d *Device) PullUSBCard(ctx context.Context, port int) error {
	return d.usb(ctx, "pull a USB card", frame.USB{Port: port, Pull: true})
}

// SetUSBFault makes the USB sound card in a port misbehave, or not any longer.
func (d *Device) SetUSBFault(ctx context.Context, port int, fault usbip.Fault) error {
	return d.usb(ctx, "make a USB card fail", frame.USB{Port: port, Fault: &fault})
}

// PlayUSB plays a sound on the telephone's wire that goes into whatever USB card is in a port, and returns when it was
// played. It goes on in real time while there is none. A card hears only sound of its own rate and channels, and
// records it to the sample. Sound.Card and Sound.Substream are of no meaning here.
func (d *Device) PlayUSB(ctx context.Context, port int, s Sound) error {
	return d.usb(ctx, "play into a USB card", frame.USB{Port: port, Play: &frame.Sound{
		Rate: s.Rate, Channels: s.Channels, Samples: pcm.AppendBytes(nil, s.Samples),
	}})
}

func (d *Device) usb(ctx context.Context, what string, q frame.USB) error {
	err := errors.New("there is no such port")
	if q.Port >= 1 && q.Port <= USBPorts {
		_, err = d.ask(ctx, frame.Request{USB: &q})
	}
	if err != nil {
		return fmt.Errorf("%s, port %d: %w", what, q.Port, err)
	}
	return nil
}
