// Package capture makes periods of audio of sound cards and of WAV files.
//
// A Card is one sound card, opened through ALSA by name and kept open: whatever happens to it, Run opens it again
// until its context ends, and says what was lost meanwhile.
//
//	card := capture.New(capture.Config{
//		Device: "plughw:CARD=Device,DEV=0",
//		Lines:  []capture.LineConfig{{Name: "front desk", Channels: []int{0}}, {Name: "back office", Channels: []int{1}}},
//	}, log)
//	err := card.Run(ctx, func(line int, p pcm.Period) { ... })
//
// The card runs at its own rate. A low-pass filter and resampler of our own brings each channel to the line's rate
// (miniaudio's is a linear one, which folds a 5 kHz tone into the speech band); where the rates are equal, the samples
// are the card's, bit for bit. Channels are never mixed: a stereo card is two lines, or the two sides of one.
//
// What can go wrong, and what is done:
//
//   - A card that is pulled out is not reported by the sound library, which spins and logs instead. Its log is watched
//     for that, and a watchdog on the frames declares lost a card that has been silent for so long.
//   - A card that is absent, at the start or later, is tried again twice a second by the same name. Meanwhile there are
//     periods without samples, about one a second, whose LostFrames grow, so that the lines' timelines go on.
//   - Frames that were overrun, or went by while the card was away, are counted by the clock (CLOCK_BOOTTIME): positions
//     stay true to real time within a period. The ordinary drift of a card's clock is not a loss.
//   - A machine that is held up loses nothing for as long as the card's buffer lasts, which is asked for 2 s; nothing for
//     30 s where only the program is, and the sound library's thread, which just copies, is not.
//   - A card that is in use by another program, or suspended while the machine slept, is tried again in the same way.
//   - A card whose clock is off by more than 1 % is recorded as it is, and Status tells.
//   - Two equal cards that change places would change the lines' names. Where the device is named after its USB port, as
//     the package's udev rules name cards, or the configuration says the port, a card in another one is not recorded but
//     reported; otherwise a card that comes back in another port is recorded, and Status tells.
//   - The sound library's thread is made before the card is opened, and what it leaves open when it fails is closed:
//     a failed attempt never makes the next one fail.
//   - A card that cannot be closed is left to itself after some seconds, and a new opening is tried; Status tells.
//
// What is heard can be wrong too: Health tells silence, hum and clipping apart.
//
// Limits: 16 bits, and rates whose ratio to the line's is reasonable (all that sound cards have).
package capture

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/linekeeper/linekeeper/usbport"
)

// The causes of lost frames that a period can name; equal to those of package call.
const (
	causeOverrun  = "overrun"
	causeCardLost = "card lost"
)

// LineConfig is what of a card, or of a WAV file, is one telephone line.
type LineConfig struct {
	Name string

	// Channels of the card, counted from 0: one, or two for the two sides of a line, kept apart.
	Channels []int
}

// Config is a card and its lines. Fields that are 0 take the defaults named.
type Config struct {
	Device   string        // as ALSA knows it: plughw:CARD=Device,DEV=0, or a name of asound.conf
	Rate     int           // frames a second to ask of the card; 0: what it likes best, 48 kHz if it can
	Port     string        // USB port that the card must be in, as package usbport names it; empty: the one that Device names, if it does
	Lines    []LineConfig  // at least one
	LineRate int           // frames a second of the lines: 8000 (default) or 16000
	Period   time.Duration // default 200 ms, from 10 ms
	Buffer   time.Duration // of the card, default 2 s, at least 1 s: what a stalled machine may take without a loss
	Watchdog time.Duration // an interval of so long without a frame means that the card is lost; default 1 s, at least three periods
}

func (c Config) withDefaults() Config {
	if c.LineRate == 0 {
		c.LineRate = 8000
	}
	if c.Period == 0 {
		c.Period = 200 * time.Millisecond
	}
	if c.Buffer == 0 {
		c.Buffer = 2 * time.Second
	}
	if c.Watchdog == 0 {
		c.Watchdog = max(time.Second, 3*c.Period)
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Device == "":
		return errors.New("no device given; run `linekeeper inputs` for those there are")
	case len(c.Device) > maxDeviceName:
		return fmt.Errorf("device name of %d bytes: at most %d", len(c.Device), maxDeviceName)
	case c.Device[0] == ':':
		return fmt.Errorf("device %q begins with a colon: name it as ALSA does, like hw%s", c.Device, c.Device)
	case c.Port != "" && !usbport.Valid(c.Port):
		return fmt.Errorf("USB port %q: controller and ports, like usbe23b_1_2; run `linekeeper inputs --json` for those of the cards there are", c.Port)
	case c.Rate < 0 || c.Rate > 0 && c.Rate < 8000:
		return fmt.Errorf("card rate %d Hz: at least 8000, or 0 for what the card likes", c.Rate)
	case c.Period < 10*time.Millisecond || c.Period > time.Second:
		return fmt.Errorf("period %v: between 10ms and 1s", c.Period)
	case c.Buffer < time.Second || c.Buffer > 10*time.Second:
		return fmt.Errorf("card buffer %v: between 1s and 10s", c.Buffer)
	case c.Watchdog < 3*c.Period:
		return fmt.Errorf("watchdog %v: at least three periods of %v", c.Watchdog, c.Period)
	}
	return validateLines(c.Lines, c.LineRate)
}

func validateLines(lines []LineConfig, rate int) error {
	if rate != 8000 && rate != 16000 {
		return fmt.Errorf("line rate %d Hz: 8000 or 16000", rate)
	}
	if len(lines) == 0 {
		return errors.New("no lines given")
	}
	for _, l := range lines {
		if len(l.Channels) != 1 && len(l.Channels) != 2 {
			return fmt.Errorf("line %s has %d channels: one, or two for the sides of the line", l.Name, len(l.Channels))
		}
		if slices.Min(l.Channels) < 0 {
			return fmt.Errorf("line %s has channel %d: channels count from 0", l.Name, slices.Min(l.Channels))
		}
	}
	return nil
}

// channelsNeeded is how many channels the card must have for all lines.
func (c Config) channelsNeeded() int {
	n := 0
	for _, l := range c.Lines {
		n = max(n, slices.Max(l.Channels)+1)
	}
	return n
}

// BeingOpened is a card's Status.Err until it was opened, or could not be, for the first time.
const BeingOpened = "it is being opened"

// Status is how a card is doing.
type Status struct {
	Open     bool          // it is open and has delivered frames within the watchdog's time
	Rate     int           // of the card, frames a second; 0 if it was never open
	Channels int           // of the card
	Buffer   time.Duration // of the card, as far as it has as much as was asked for; 0: not known
	Port     string        // the USB port that it is in, as package usbport names it; empty: none
	Moved    string        // the USB port that it was in when Run first opened it, if it is in another now; empty: in the same
	Err      string        // why it is not open, and what to do; empty where it is

	// Off is by what share the card delivered more frames in a minute than it says it does (less: below 0); 0: within 1 %.
	Off float64

	// Stuck is how often the sound library did not let go of the card, and was left to itself with it. Where the card is
	// not Open since, only a new process may get it: its time is when no line is in a call.
	Stuck int64

	Overruns   int64 // how often frames were lost because nobody read them in time
	Behind     int64 // of these, how often the program, not the card's thread, did not keep up
	LostFrames int64 // frames of a line that were lost since Run, for any reason
	Reopened   int64 // how often the card was opened again after it had been open
}
