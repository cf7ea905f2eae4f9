package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/cmd/internal/settings"
	"github.com/linekeeper/linekeeper/line"
	"github.com/linekeeper/linekeeper/line/callerid"
	"github.com/linekeeper/linekeeper/line/dtmf"
	"github.com/linekeeper/linekeeper/line/tone"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/recorder"
)

// detectConfig is what is listened for on the lines, beside voices and the bell.
type detectConfig struct {
	Digits   bool   `toml:"digits"`
	CallerID bool   `toml:"caller_id"`
	Tones    string `toml:"tones"` // file of tones that take the place of the built-in ones

	// What is taken for the tone by which another's recorder says that it records: each from and to.
	NoticeHz      []float64           `toml:"notice_hz"`
	NoticeLength  []settings.Duration `toml:"notice_length"`
	NoticeSpacing []settings.Duration `toml:"notice_spacing"`
}

// defaultDetect has everything on.
func defaultDetect() detectConfig {
	n := tone.DefaultNotice()
	d := detectConfig{Digits: true, CallerID: true, NoticeHz: n.Hz[:]}
	for i := range 2 {
		d.NoticeLength = append(d.NoticeLength, settings.Duration(n.Length[i]))
		d.NoticeSpacing = append(d.NoticeSpacing, settings.Duration(n.Spacing[i]))
	}
	return d
}

// notice is what the settings take for a notice.
func (c *config) notice() (n tone.NoticeForm, err error) {
	d := c.Detect
	if len(d.NoticeHz) != 2 || len(d.NoticeLength) != 2 || len(d.NoticeSpacing) != 2 {
		return n, c.wrong("detect.notice_hz", 0, "notice_hz, notice_length and notice_spacing have two values each: from and to")
	}
	for i := range 2 {
		n.Hz[i], n.Length[i], n.Spacing[i] = d.NoticeHz[i], time.Duration(d.NoticeLength[i]), time.Duration(d.NoticeSpacing[i])
	}
	if err := n.Check(); err != nil {
		return n, c.wrong("detect.notice_hz", 0, "%v", err)
	}
	return n, nil
}

// alarmsConfig is what takes time to be an alarm.
type alarmsConfig struct {
	OffHook settings.Duration `toml:"off_hook"`
	Quiet   settings.Duration `toml:"quiet"` // of the business hours; 0: none
	Days    []string          `toml:"days"`
	Hours   []string          `toml:"hours"` // from, to
	Zone    string            `toml:"time_zone"`
}

// tones are those of all countries: the built-in ones, and those of the installer's file.
func (c *config) tones() (tone.Table, error) {
	table, err := tone.BuiltIn()
	if err != nil || c.Detect.Tones == "" {
		return table, err
	}
	file, err := os.ReadFile(c.Detect.Tones)
	if err == nil {
		err = table.Extend(file)
	}
	if err != nil {
		return nil, fmt.Errorf("tones of %s: %w", c.Detect.Tones, err)
	}
	return table, nil
}

// country of the i-th line, as the table of tones has it.
func (c *config) country(i int) string { return strings.ToLower(c.Lines[i].Country) }

// lineDetector is what decides when calls of the i-th line begin and end.
func (c *config) lineDetector(i int, f pcm.Format, tones tone.Table) line.Config {
	l := line.DefaultConfig()
	l.PreRoll = time.Duration(c.Calls.PreRoll)
	l.HangOver = time.Duration(c.Calls.HangOver)
	l.PutBack = time.Duration(c.Calls.PutBack)
	l.Tail = time.Duration(c.Calls.Tail)
	l.Shortest = time.Duration(c.Calls.Shortest)
	l.Longest = time.Duration(c.Calls.Longest)
	l.OffHook = time.Duration(c.Alarms.OffHook)
	heard := tone.NewDetector(tones[c.country(i)], f) // without a country notices only
	if notice, err := c.notice(); err == nil {        // the settings were checked
		heard.SetNotice(notice)
	}
	l.Detectors.Tones = heard
	if c.Detect.Digits {
		l.Detectors.Digits = dtmf.NewDetector(f)
	}
	if c.Detect.CallerID {
		l.Detectors.CallerID = callerid.NewDetector(f)
	}
	return l
}

// weekdays are the names of days in settings, by time.Weekday.
var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// businessHours are those of the settings.
func (c *config) businessHours() (h recorder.Hours, err error) {
	a := c.Alarms
	for _, name := range a.Days {
		known := false
		for day, is := range weekdays {
			if strings.EqualFold(name, is) {
				h.Days[day], known = true, true
			}
		}
		if !known {
			return h, c.wrong("alarms.days", 0, "%q is not one of: %s", name, strings.Join(weekdays[:], ", "))
		}
	}
	if len(a.Hours) != 2 {
		return h, c.wrong("alarms.hours", 0, "%d times: two are needed, from and to", len(a.Hours))
	}
	for i, of := range []*time.Duration{&h.From, &h.To} {
		at, err := time.Parse("15:04", a.Hours[i])
		if err != nil {
			return h, c.wrong("alarms.hours", 0, "%q is not a time such as 08:00", a.Hours[i])
		}
		*of = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	if h.From >= h.To {
		return h, c.wrong("alarms.hours", 0, "%s is not before %s", a.Hours[0], a.Hours[1])
	}
	if h.Zone, err = time.LoadLocation(a.Zone); err != nil {
		return h, c.wrong("alarms.time_zone", 0, "%q is no time zone such as Africa/Maputo: %v", a.Zone, err)
	}
	return h, nil
}

// checkDetectors finds what cannot work of the detectors' settings.
func (c *config) checkDetectors() (all []error) {
	table, err := c.tones()
	if err != nil {
		return []error{c.wrong("detect.tones", 0, "%v", err)}
	}
	for i := range c.Lines {
		if name := c.country(i); name != "" && len(table[name]) == 0 {
			all = append(all, c.wrong("line.country", i, "no tones of %q are known; known are: %s", c.Lines[i].Country, strings.Join(table.Countries(), ", ")))
		}
	}
	if _, err := c.notice(); err != nil {
		all = append(all, err)
	}
	if _, err := c.businessHours(); err != nil {
		all = append(all, err)
	}
	return all
}
