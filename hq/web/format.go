package web

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

// moment is a time as pages show it: in the configured zone, with UTC where the mouse rests.
type moment struct {
	Machine string // for <time datetime>
	Clock   string // 14:05:12
	Day     string // Monday 23 November 2026
	Full    string // 23 Nov 2026, 14:05:12
	UTC     string
}

func (s *server) moment(t time.Time) moment {
	local, utc := t.In(s.Zone), t.UTC()
	return moment{
		Machine: utc.Format(time.RFC3339),
		Clock:   local.Format("15:04:05"),
		Day:     local.Format("Monday 2 January 2006"),
		Full:    local.Format("2 Jan 2006, 15:04:05"),
		UTC:     utc.Format("2006-01-02 15:04:05 UTC"),
	}
}

// length is a duration as a clock shows it: 3:05, 1:02:03.
func length(d time.Duration) string {
	seconds := int(d.Round(time.Second) / time.Second)
	if seconds < 3600 {
		return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

// ago is roughly how long ago something was.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}

// lasts is roughly how long so many seconds are.
func lasts(seconds int64) string {
	switch {
	case seconds < 100:
		return fmt.Sprintf("%d s", max(seconds, 1))
	case seconds < 100*60:
		return fmt.Sprintf("%d min", seconds/60)
	case seconds < 100*3600:
		return fmt.Sprintf("%d h", seconds/3600)
	}
	return count(int(seconds/(24*3600)), "day")
}

func size(bytes int64) string {
	switch {
	case bytes < 1000:
		return fmt.Sprintf("%d bytes", bytes)
	case bytes < 1000*1000:
		return fmt.Sprintf("%.0f KB", float64(bytes)/1e3)
	case bytes < 1000*1000*1000:
		return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
}

// count is "1 call", "2 calls".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func title(s string) string {
	for i, r := range s {
		return string(unicode.ToUpper(r)) + s[i+len(string(r)):]
	}
	return s
}

// sideNames is what the channels of a call are called; nil: it has one.
func sideNames(c hq.Call) []string {
	if c.Channels < 2 {
		return nil
	}
	names := make([]string, c.Channels)
	for i := range names {
		names[i] = fmt.Sprintf("Side %d", i+1)
		if i < len(c.Sides) {
			names[i] = title(c.Sides[i])
		}
	}
	return names
}

// span is how long frames of the call last.
func span(c hq.Call, frames int64) time.Duration {
	if c.Rate < 1 {
		return 0
	}
	return time.Duration(float64(frames) / float64(c.Rate) * float64(time.Second))
}

// copyName is what a copy of the call is called where it is saved: 2026-11-23_14-05-12_Lichinga_line1.opus.
func (s *server) copyName(c hq.Call, extension string) string {
	return c.Began.In(s.Zone).Format("2006-01-02_15-04-05") + "_" + plainName(c.Site) + "_" + plainName(c.Line) + "." + extension
}

// plainName keeps of a name what every file system takes.
func plainName(s string) string {
	fields := strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' })
	name := []rune(strings.Join(fields, "-"))
	if len(name) == 0 {
		return "unnamed"
	}
	return string(name[:min(len(name), 40)])
}

// cause says in words why something was lost.
func cause(c string) string {
	switch c {
	case call.CauseOverrun:
		return "the recorder was too busy"
	case call.CauseCardLost:
		return "the sound card was away"
	case call.CauseOverflow:
		return "the recorder's store was full or too slow"
	}
	return c
}
