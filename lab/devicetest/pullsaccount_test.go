//go:build lab

package devicetest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/lab/phone"
)

// absence is one time that the card was away, by the clock of the guest.
type absence struct {
	gone, put, back, open time.Duration // pulled, put in again, there under its name, and opened by the recorder
}

// udevLog is where the guest notes when udev has named a card.
const udevLog = "/run/lab-udev.log"

// account holds what headquarters has, and what the recorder said, against what the kernel saw and what was played.
func (p *pulling) account() {
	away, told, lost := p.journal()
	if len(away) != *pulls || slices.ContainsFunc(away, func(a absence) bool { return a.back == 0 || a.open == 0 }) {
		p.t.Errorf("the kernel and the recorder speak of %d absences, of which each must end: %+v", len(away), away)
	}
	gaps := p.listen()
	if len(gaps) != len(told) {
		p.t.Fatalf("%d gaps in calls, of %d the recorder spoke", len(gaps), len(told))
	}
	var inCalls, between, errors, board []time.Duration
	for _, a := range away {
		board = append(board, a.back-a.put)
	}
	covered := map[int]bool{}
	sum := int64(0)
	for i, g := range gaps {
		sum += g.Says
		if g.Measured {
			errors = append(errors, frames(g.Says-g.Was).Abs())
		}
		first, last := -1, -1
		for n, a := range away { // more than one where the card was pulled again at once
			if a.gone <= told[i] && a.gone > told[i]-frames(g.Was)-time.Second && !covered[n] {
				covered[n] = true
				if last = n; first < 0 {
					first = n
				}
			}
		}
		if first >= 0 {
			inCalls = append(inCalls, max(0, frames(g.Was)-(away[last].back-away[first].gone)))
		}
	}
	for n, a := range away {
		if !covered[n] {
			between = append(between, max(0, a.open-a.back))
		}
	}
	p.t.Logf("from the card being put in until the board has it under its name, %s", distribution(board))
	limit, exact := time.Duration(3*p.slow*float64(time.Second)), time.Duration(p.slow*float64(period))
	p.t.Logf("from then on in calls recorded again, %s; it may take 3 s, and here, %.1f times as slow, %v", distribution(inCalls), p.slow, limit.Round(time.Millisecond))
	p.t.Logf("from then on between calls open again, %s", distribution(between))
	p.t.Logf("lengths of %d gaps in calls, off by %s", len(gaps), distribution(errors))
	if slices.Max(append(inCalls, between...)) > limit {
		p.t.Error("the line was not recorded again in time")
	}
	if slices.Max(errors) > exact {
		p.t.Error("a gap is longer or shorter than what was lost, by more than a period of the card")
	}
	p.t.Logf("line 1 lost %v: %v in calls, %v outside them; line 2 %v", frames(p.lost[0]), frames(sum), frames(lost), frames(p.lost[1]))
	if p.lost[0] != sum+lost || p.lost[0] == 0 || p.lost[1] != 0 {
		p.t.Error("frames were lost of which nothing tells, or of line 2")
	}
}

// period is that of a card.
const period = 200 * time.Millisecond

func frames(n int64) time.Duration {
	return time.Duration(n) * time.Second / time.Duration(usbKind.Rate)
}

func distribution(d []time.Duration) string {
	if len(d) == 0 {
		return "never"
	}
	slices.Sort(d)
	at := func(share float64) string {
		return d[min(len(d)-1, int(share*float64(len(d))))].Round(time.Millisecond).String()
	}
	return strconv.Itoa(len(d)) + " times: median " + at(0.5) + ", 95th " + at(0.95) + ", worst " + at(1)
}

var (
	journalLine = regexp.MustCompile(`^\[\s*([0-9.]+)\] [^:]*: (.*)$`)
	lostLine    = regexp.MustCompile(`msg="audio was lost" line="line 1" in_call=(\w+) frames=(\d+) cause="card lost"`)
)

// journal gives what the kernel and the recorder said of line 1's card since the trial began: its absences, when gaps of
// calls were told, and how many frames were lost outside calls, as entered into the ledger.
func (p *pulling) journal() (away []absence, told []time.Duration, outside int64) {
	port := p.cards[1].Path()
	name := stableName(p.cards[1])
	said := p.shell(within(p.t, patience), "journalctl --boot --output=short-monotonic --no-hostname _TRANSPORT=kernel + _SYSTEMD_UNIT=linekeeper.service")
	for line := range strings.Lines(said) {
		m := journalLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		seconds, _ := strconv.ParseFloat(m[1], 64)
		at, words := time.Duration(seconds*float64(time.Second)), m[2]
		last := len(away) - 1
		switch {
		case strings.Contains(words, "usb "+port+": USB disconnect"):
			away = append(away, absence{gone: at})
		case last < 0: // before the first
		case strings.Contains(words, "usb "+port+": new full-speed"):
			away[last].put = at
		case strings.Contains(words, cardOpen) && strings.Contains(words, name) && away[last].put > 0 && away[last].open == 0:
			away[last].open = at
		default:
			if m := lostLine.FindStringSubmatch(words); m != nil {
				n, _ := strconv.ParseInt(m[2], 10, 64)
				if m[1] == "true" {
					told = append(told, at)
				} else {
					outside += n
				}
			}
		}
	}
	p.named(port, away)
	return away, told, outside
}

var namedLine = regexp.MustCompile(`^UDEV +\[([0-9.]+)\] add +\S*/([0-9.-]+)/[^/]*/sound/card\d+ `)

// named adds when the card was there under its name each time.
func (p *pulling) named(port string, away []absence) {
	for line := range strings.Lines(string(must(p.device.ReadFile(within(p.t, patience), udevLog))(p.t))) {
		m := namedLine.FindStringSubmatch(line)
		if m == nil || m[2] != port {
			continue
		}
		seconds, _ := strconv.ParseFloat(m[1], 64)
		at := time.Duration(seconds * float64(time.Second))
		for i := range slices.Backward(away) {
			if a := &away[i]; a.put <= at {
				a.back = at
				break
			}
		}
	}
}

// listen holds the calls at headquarters against what was played: line 2's one call whole, and of line 1's each part at its
// place. It gives line 1's gaps, in the order in which they were.
func (p *pulling) listen() (gaps []phone.Loss) {
	lib := must(library.Open(filepath.Join(p.head.Dir, "library.db"), time.Now))(p.t)
	defer lib.Close()
	all, _, err := lib.Calls(p.t.Context(), hq.Query{Limit: 500})
	if err != nil {
		p.t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b hq.Call) int { return a.Began.Compare(b.Began) })
	places := [2]*phone.Places{phone.NewPlaces(p.sounds[0]), phone.NewPlaces(p.sounds[1])}
	count := [2]int{}
	for _, c := range all {
		which := slices.Index([]string{"line 1", "line 2"}, c.Line)
		count[which]++
		rate, samples := p.decode(must(os.ReadFile(filepath.Join(p.head.Dir, "calls", c.ID.String()[:2], c.ID.String()+".lkc")))(p.t))
		if rate != usbKind.Rate || c.EndedBy != call.EndedOnHook {
			p.t.Errorf("%s: a call of %v ended by %s, at %d Hz", c.Line, c.Duration, c.EndedBy, rate)
		}
		lost, err := places[which].Hear(samples, c.Gaps)
		if err != nil {
			p.t.Errorf("%s, a call of %v: %v", c.Line, c.Duration, err)
		}
		if which == 0 {
			gaps = append(gaps, lost...)
		} else {
			p.t.Logf("line 2: a call of %v, gaps %v", c.Duration, c.Gaps)
			if len(c.Gaps) > 0 {
				p.t.Error("line 2 was disturbed")
			}
		}
	}
	if count != [2]int{p.calls, 1} {
		p.t.Errorf("%d calls of the two lines, %d and 1 were made", count, p.calls)
	}
	p.t.Logf("line 1: %d calls, %d gaps in them", count[0], len(gaps))
	return gaps
}
