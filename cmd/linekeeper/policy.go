package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/cmd/internal/settings"
	"github.com/linekeeper/linekeeper/uplink"
)

// policyConfig is when calls may go over the link, and how much.
type policyConfig struct {
	Windows    []windowConfig `toml:"window"`     // in which calls go; none: always
	Everything bool           `toml:"everything"` // outside of them there is no connection at all
	Asked      bool           `toml:"asked"`      // calls that headquarters asked for go outside of them too
	Rate       settings.Size  `toml:"rate"`       // a second; 0: no limit
	Day        settings.Size  `toml:"day"`        // volume; 0: no limit
	Month      settings.Size  `toml:"month"`
	Zone       string         `toml:"time_zone"`
}

type windowConfig struct {
	Days  []string `toml:"days"`  // on which it begins; none: every day
	Hours []string `toml:"hours"` // from and to, which may be on the next day
}

// leastRate is the least that the rate may be held down to: below, a call would never end.
const leastRate = 500

// linkPolicy is that of the settings.
func (c *config) linkPolicy() (p uplink.Policy, err error) {
	cfg := c.Uplink.Policy
	p = uplink.Policy{Everything: cfg.Everything, AskedAny: cfg.Asked, DayBytes: int64(cfg.Day), MonthBytes: int64(cfg.Month)}
	if p.Zone, err = time.LoadLocation(cfg.Zone); err != nil {
		return p, c.wrong("uplink.policy.time_zone", 0, "%q is no time zone such as Africa/Maputo: %v", cfg.Zone, err)
	}
	if cfg.Rate != 0 && cfg.Rate < leastRate {
		return p, c.wrong("uplink.policy.rate", 0, "%d bytes a second is less than %d, with which no call would end", cfg.Rate, leastRate)
	}
	for key, volume := range map[string]settings.Size{"day": cfg.Day, "month": cfg.Month} {
		if volume < 0 {
			return p, c.wrong("uplink.policy."+key, 0, "%d bytes: less than nothing cannot be sent; 0: no limit", volume)
		}
	}
	for i, window := range cfg.Windows {
		w, err := c.window(window, i)
		if err != nil {
			return p, err
		}
		p.Windows = append(p.Windows, w)
	}
	return p, nil
}

func (c *config) window(cfg windowConfig, i int) (w uplink.Window, err error) {
	for _, name := range cfg.Days {
		day := 0
		for day < len(weekdays) && !strings.EqualFold(name, weekdays[day]) {
			day++
		}
		if day == len(weekdays) {
			return w, c.wrong("uplink.policy.window.days", i, "%q is not one of: %s", name, strings.Join(weekdays[:], ", "))
		}
		w.Days = append(w.Days, time.Weekday(day))
	}
	if len(cfg.Hours) == 0 {
		return w, nil // the whole day
	}
	different := func() error {
		return c.wrong("uplink.policy.window.hours", i, "%q: two different times are needed, from and to; none: the whole day", cfg.Hours)
	}
	if len(cfg.Hours) != 2 {
		return w, different()
	}
	for n, of := range []*time.Duration{&w.From, &w.To} {
		at, err := time.Parse("15:04", cfg.Hours[n])
		if err != nil {
			return w, c.wrong("uplink.policy.window.hours", i, "%q is not a time such as 22:00", cfg.Hours[n])
		}
		*of = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	if w.From == w.To {
		return w, different()
	}
	return w, nil
}

func uplinkCommand(o *options) *cobra.Command {
	up := &cobra.Command{
		Use:   "uplink",
		Short: "Keep everything from the link to headquarters, or let it go on",
		Args:  command.Exactly(0, "pause or resume"),
	}
	for _, one := range []struct {
		use, short string
		on         bool
	}{
		{"pause", "Close the connection, and make none until `uplink resume`, also after a restart", true},
		{"resume", "Go on delivering", false},
	} {
		up.AddCommand(&cobra.Command{
			Use: one.use, Short: one.short, Args: command.Exactly(0, "no arguments"),
			RunE: func(cmd *cobra.Command, _ []string) error {
				c, err := loadConfig(o.Config)
				if err != nil {
					return err
				}
				var answer linkAnswer
				if err := tellControl(cmd.Context(), c.Control, controlUplink, linkRequest{Pause: one.on}, &answer); err != nil {
					return err
				}
				if answer.Error != "" {
					return fmt.Errorf("uplink %s: %s", one.use, answer.Error)
				}
				return nil
			},
		})
	}
	return up
}

// linkRequest is what `linekeeper uplink pause` and `resume` ask of the running recorder.
type linkRequest struct {
	Pause bool `json:"pause"`
}

type linkAnswer struct {
	Error string `json:"error,omitempty"`
}

func (k *keeper) answerUplink(w http.ResponseWriter, r *http.Request) {
	var request linkRequest
	if err := readJSON(w, r, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var answer linkAnswer
	if k.up == nil {
		answer.Error = "this recorder delivers to nobody"
	} else if err := k.up.Pause(request.Pause); err != nil {
		answer.Error = err.Error()
	}
	k.log.Info("uplink", "pause", request.Pause, "error", answer.Error)
	writeJSON(w, answer)
}

// deliveryReport is what it takes to deliver what waits, and how that goes.
type deliveryReport struct {
	Held     string        `json:"held,omitempty"`      // why calls do not go now
	Until    time.Time     `json:"until,omitzero"`      // when that ends by itself
	Cost     int64         `json:"cost_bytes"`          // that what waits will take of the link
	Seconds  float64       `json:"seconds,omitempty"`   // of sending; not there: not known yet
	Done     time.Time     `json:"done,omitzero"`       // when all will be there; not there: not known
	Rate     float64       `json:"rate,omitempty"`      // bytes a second, as measured; not there: not known yet
	Volume   uplink.Volume `json:"volume"`              // used
	DayMax   int64         `json:"day_limit,omitempty"` // of the volume
	MonthMax int64         `json:"month_limit,omitempty"`
	Call     string        `json:"call,omitempty"` // that goes now
	Sent     int64         `json:"sent,omitempty"` // bytes of it
	Size     int64         `json:"size,omitempty"`
}

// forecast is what it takes to deliver what waits and is not parked.
func (k *keeper) forecast(ring buffer.Status) uplink.Forecast {
	return k.up.Forecast(ring.WaitingCalls-ring.Parked, ring.WaitingBytes, ring.WaitingEntries)
}

func (k *keeper) delivery() *deliveryReport {
	if k.up == nil {
		return nil
	}
	ring, s, p := k.ring.Status(), k.up.Snapshot(), k.up.Permit()
	f := k.forecast(ring)
	r := &deliveryReport{
		Held: p.Why, Until: p.Until, Cost: f.Bytes, Seconds: f.Seconds, Done: f.Done, Rate: f.Rate, Volume: k.up.Used(),
		DayMax: int64(k.cfg.Uplink.Policy.Day), MonthMax: int64(k.cfg.Uplink.Policy.Month), Sent: s.Sent, Size: s.Size,
	}
	if !s.Call.IsZero() {
		r.Call = s.Call.String()
	}
	return r
}

// lines say the same to a person.
func (r *deliveryReport) lines() (lines []string) {
	if r.Held != "" {
		held := "calls wait: " + r.Held
		if !r.Until.IsZero() {
			held += ", until " + r.Until.Local().Format(time.DateTime)
		}
		lines = append(lines, held)
	}
	needs := fmt.Sprintf("what waits takes %s of the link", bytesText(r.Cost))
	switch {
	case r.Cost == 0:
		needs = "nothing waits"
	case r.Rate == 0:
		needs += "; how long is not known before a call has gone"
	default:
		needs += fmt.Sprintf(", %v at %s/s", (time.Duration(r.Seconds * float64(time.Second))).Round(time.Second), bytesText(int64(r.Rate)))
		if !r.Done.IsZero() {
			needs += ": done " + r.Done.Local().Format(time.DateTime)
		}
	}
	return append(lines, needs, "used "+of(r.Volume.DayBytes, r.DayMax)+" today, "+of(r.Volume.MonthBytes, r.MonthMax)+" this month")
}

func of(n, limit int64) string {
	if limit == 0 {
		return bytesText(n)
	}
	return bytesText(n) + " of " + bytesText(limit)
}
