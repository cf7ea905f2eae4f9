package wire

import (
	"errors"
	"fmt"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// Why a boot ended, as the next one found it.
const (
	ResetOrderly  = "orderly"  // shut down or restarted
	ResetPower    = "power"    // the power went, or somebody pressed reset
	ResetWatchdog = "watchdog" // the board's watchdog, since the system stood still
)

// Health is how a recorder's board is. A value that the board does not tell is zero, or left out.
type Health struct {
	Number       uint64     `json:"number,omitempty"`       // in the recorder's log of health, from 1; 0: of this moment, not kept
	Time         time.Time  `json:"time"`                   // as the recorder believed
	Clock        call.Grade `json:"clock"`                  // how good that is
	Boot         string     `json:"boot,omitempty"`         // Linux' boot ID
	Boots        int64      `json:"boots"`                  // since the log began
	Reset        string     `json:"reset,omitempty"`        // why the boot before this one ended
	Uptime       int64      `json:"uptime"`                 // seconds since the boot
	Temperature  float64    `json:"temperature,omitempty"`  // of the hottest part, degrees Celsius
	UnderVoltage bool       `json:"undervoltage,omitempty"` // the supply is too weak
	OverCurrent  int64      `json:"over_current,omitempty"` // times that a USB port was shut off, in this boot
	Reopened     int64      `json:"reopened,omitempty"`     // times that a sound card was lost and opened again, since the program started
	Overruns     int64      `json:"overruns,omitempty"`     // of sound cards, likewise
	FreeHours    float64    `json:"free_hours"`             // of calls that the ring has room for
	Card         CardHealth `json:"card"`
}

// CardHealth is how the card is.
type CardHealth struct {
	Name     string `json:"name,omitempty"`      // as its maker calls it
	LifeUsed int    `json:"life_used,omitempty"` // per cent, in tens, of what it was made for; over 100: worn out. SD cards do not tell
	Spares   int    `json:"spares,omitempty"`    // of its spare blocks 1: enough left, 2: 80 % used, 3: 90 % (JEDEC eMMC, PRE_EOL_INFO)
	Errors   int64  `json:"errors,omitempty"`    // that the file system has found, in its life
	Written  int64  `json:"written,omitempty"`   // bytes, since the boot
}

// MaxHealth bounds the lines of the log in one status.
const MaxHealth = 16

// Words say how the board is, each a few words: what is wrong first.
func (h *Health) Words() (words []string) {
	say := func(holds bool, format string, args ...any) {
		if holds {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	say(h.UnderVoltage, "the supply is too weak")
	say(h.Card.Errors > 0, "%d errors on the card", h.Card.Errors)
	say(h.Card.LifeUsed > 80, "the card is worn: %d %% of its life", h.Card.LifeUsed)
	say(h.Card.Spares > 1, "the card runs out of spare blocks")
	say(h.OverCurrent > 0, "a USB port was shut off %d times", h.OverCurrent)
	say(h.Temperature != 0, "%.0f °C", h.Temperature)
	up := time.Duration(h.Uptime) * time.Second
	say(up >= 48*time.Hour, "up %d days", int(up.Hours()/24))
	say(up < 48*time.Hour, "up %s", up.Truncate(time.Minute))
	say(h.Boots > 0, "boot %d", h.Boots)
	switch h.Reset {
	case ResetPower:
		words = append(words, "the power was lost before it")
	case ResetWatchdog:
		words = append(words, "the watchdog ended the one before")
	}
	say(h.Card.LifeUsed > 0 && h.Card.LifeUsed <= 80, "%d %% of the card's life used", h.Card.LifeUsed)
	return words
}

// check refuses what no board can say.
func (h *Health) check() error {
	switch {
	case h.Time.IsZero():
		return errors.New("health without a time")
	case h.Temperature < -100 || h.Temperature > 300:
		return fmt.Errorf("a temperature of %g degrees", h.Temperature)
	case len(h.Boot) > 64 || len(h.Reset) > 32 || len(h.Card.Name) > 64:
		return errors.New("health with overlong words")
	case h.Boots < 0 || h.Uptime < 0 || h.OverCurrent < 0 || h.Card.Errors < 0 || h.Card.Written < 0 || h.Card.LifeUsed < 0 || h.Card.LifeUsed > 1000:
		return errors.New("health that counts below nothing")
	}
	return nil
}
