package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/lab/bench/figures"
	"github.com/linekeeper/linekeeper/lab/device"
)

const (
	bootLimit = 2 * time.Second
	patience  = 5 * time.Minute // with a boot, on a host with much to do
)

// moments of a boot, by the guest's clock, which begins with its kernel.
type moments struct {
	up      time.Duration // multi-user.target is reached
	started time.Duration // the recorder's process
	ready   time.Duration // it says that it is: its ring is open, and its cards are being opened
	opened  time.Duration // its cards are open: what they hear from here on is recorded
	heard   time.Duration // it has been given that, from each of them
	late    int           // how many cards were not there, or not its own, when it first asked
	ahead   time.Duration // how much later the host's clock is, which begins with power on
	worked  time.Duration // what the emulator has had of the host's processors until heard, or up where nothing is heard
}

// measureBoot boots one image in turns with the recorder and without.
func (b *bench) measureBoot(ctx context.Context) error {
	lines := []input{{device.Microphone(1, 0), 0}, {device.Microphone(2, 0), 0}}
	b.say("installing the recorder on a device")
	d, err := device.Start(ctx, b.image, device.Config{Data: &device.Disk{Base: b.ringDisk(), Mount: data}, Boot: patience})
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := d.Poll(ctx, "mountpoint "+data); err != nil {
		return err
	}
	if err := b.install(ctx, d, lines); err != nil {
		return err
	}
	var with, without []moments
	for i := range b.boots {
		for _, enabled := range []bool{i%2 == 0, i%2 == 1} {
			m, err := b.boot(ctx, d, enabled, len(lines))
			if err != nil {
				return err
			}
			b.say("boot %d of %d, recorder %t: %+v", i+1, b.boots, enabled, m)
			if enabled {
				with = append(with, m)
			} else {
				without = append(without, m)
			}
		}
	}
	b.reportBoot(with, without)
	return nil
}

// boot cuts the power, which finds the recorder at work if it was, and puts it on again.
func (b *bench) boot(ctx context.Context, d *device.Device, enabled bool, cards int) (moments, error) {
	verb := map[bool]string{true: "enable", false: "disable"}[enabled]
	if _, err := d.Shell(ctx, "systemctl --quiet "+verb+" linekeeper.service && sync"); err != nil {
		return moments{}, err
	}
	d.PowerCut()
	work := watchProcessor()
	closeWork := sync.OnceFunc(work.close)
	defer closeWork()
	power := time.Now()
	if err := d.PowerOn(ctx); err != nil {
		return moments{}, err
	}
	// One question that is answered when the boot is over: asking again and again would slow it down.
	state, err := d.Exec(ctx, "systemctl", "is-system-running", "--wait")
	if err != nil {
		return moments{}, err
	}
	if text := strings.TrimSpace(state.Stdout); text != "running" {
		failed, err := d.Shell(ctx, "systemctl --failed --no-legend --plain")
		return moments{}, fmt.Errorf("the device is %s: %s %w", text, failed, err)
	}
	var m moments
	if enabled {
		if err := m.readJournal(ctx, d, cards); err != nil {
			return m, err
		}
	}
	if m.up, err = activeSince(ctx, d, "ActiveEnterTimestampMonotonic", "multi-user.target"); err != nil {
		return m, err
	}
	asked := time.Now()
	text, err := d.ReadFile(ctx, "/proc/uptime")
	if err != nil {
		return m, err
	}
	asked = asked.Add(time.Since(asked) / 2)
	uptime, err := strconv.ParseFloat(strings.Fields(string(text) + " -")[0], 64)
	if err != nil {
		return m, fmt.Errorf("read the guest's uptime: %w", err)
	}
	m.ahead = asked.Sub(power) - time.Duration(uptime*float64(time.Second))
	closeWork()
	m.worked, err = work.until(power.Add(m.ahead + max(m.up, m.heard)))
	return m, err
}

// activeSince is a property of a unit that is a time, in microseconds.
func activeSince(ctx context.Context, d *device.Device, property, unit string) (time.Duration, error) {
	text, err := d.Run(ctx, "systemctl", "show", "--value", "--property="+property, unit)
	if err != nil {
		return 0, err
	}
	us, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err == nil && us == 0 {
		err = fmt.Errorf("%s was not reached", unit)
	}
	return time.Duration(us) * time.Microsecond, err
}

// readJournal waits until the recorder has heard its cards, and takes its moments from the journal.
func (m *moments) readJournal(ctx context.Context, d *device.Device, cards int) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("the recorder did not hear its cards within a minute of the boot"))
	defer cancel()
	text, err := d.Poll(ctx, fmt.Sprintf(`journalctl --boot --unit=linekeeper --output=json --output-fields=MESSAGE >/run/said &&
		test "$(grep -c 'first audio' /run/said)" = %d && cat /run/said`, cards))
	if err != nil {
		return err
	}
	if m.started, err = activeSince(ctx, d, "ExecMainStartTimestampMonotonic", "linekeeper.service"); err != nil {
		return err
	}
	return m.parse(text)
}

// parse reads what journalctl prints as JSON, an entry a line.
func (m *moments) parse(journal string) error {
	for line := range strings.Lines(journal) {
		var e struct {
			Message   string `json:"MESSAGE"`
			Monotonic string `json:"__MONOTONIC_TIMESTAMP"` // microseconds
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		us, err := strconv.ParseInt(e.Monotonic, 10, 64)
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		at := time.Duration(us) * time.Microsecond
		switch {
		case strings.Contains(e.Message, "msg=ready"):
			m.ready = at
		case strings.Contains(e.Message, `msg="sound card not open`):
			m.late++
		case strings.Contains(e.Message, `msg="sound card open"`):
			m.opened = at // of the last card, in the end
		case strings.Contains(e.Message, `msg="first audio"`):
			m.heard = at
		}
	}
	if m.ready == 0 || m.opened == 0 || m.heard == 0 {
		return fmt.Errorf("the recorder's journal does not say that it was ready, opened its cards and heard audio:\n%s", journal)
	}
	return nil
}

func (b *bench) reportBoot(with, without []moments) {
	times := func(of []moments, which func(moments) time.Duration) (all []time.Duration) {
		for _, m := range of {
			all = append(all, which(m))
		}
		return all
	}
	up := func(m moments) time.Duration { return m.up }
	heard := func(m moments) time.Duration { return m.heard }
	fromPower := func(which func(moments) time.Duration) func(moments) time.Duration {
		return func(m moments) time.Duration { return which(m) + m.ahead }
	}
	median := func(of []moments, which func(moments) time.Duration) time.Duration {
		return figures.Median(times(of, which))
	}
	late := 0
	for _, m := range with {
		late += m.late
	}
	b.note("Boot: %d boots with the recorder and %d without, in turns, each after a power cut; seconds, medians. By the guest's clock: without, "+
		"multi-user.target after %.2f (%s); with, after %.2f (%s), the recorder's process starts after %.2f, is ready after %.2f, has both cards open after %.2f and has been given audio by both after %.2f (%s). "+
		"A card had to be tried again %d times in all these boots. The host's clock, from power on, is %.2f ahead.",
		len(with), len(without), median(without, up).Seconds(), figures.Spread(times(without, up)), median(with, up).Seconds(), figures.Spread(times(with, up)),
		median(with, func(m moments) time.Duration { return m.started }).Seconds(),
		median(with, func(m moments) time.Duration { return m.ready }).Seconds(),
		median(with, func(m moments) time.Duration { return m.opened }).Seconds(),
		median(with, heard).Seconds(), figures.Spread(times(with, heard)),
		late, median(with, func(m moments) time.Duration { return m.ahead }).Seconds())
	for _, clock := range []struct {
		name    string
		up, end func(moments) time.Duration
	}{{"guest's", up, heard}, {"host's", fromPower(up), fromPower(heard)}} {
		own, theirs := median(with, clock.end), median(without, clock.up)
		b.row(figures.Row{What: fmt.Sprintf("from power on to recording, %s clock", clock.name), Peer: fmt.Sprintf("the image's boot %.2f s", theirs.Seconds()),
			Ours: fmt.Sprintf("%.2f s: %+.2f s", own.Seconds(), (own - theirs).Seconds()), Ratio: figures.Ratio(own, theirs),
			Value: (own - theirs).Seconds(), Unit: "s more", Limit: bootLimit.Seconds()})
	}
	worked := func(m moments) time.Duration { return m.worked }
	own, theirs := median(with, worked), median(without, worked)
	b.row(figures.Row{What: "from power on to recording, work of the host's processors", Peer: fmt.Sprintf("the image's boot %.2f s", theirs.Seconds()),
		Ours: fmt.Sprintf("%.2f s: %+.2f s", own.Seconds(), (own - theirs).Seconds()), Ratio: figures.Ratio(own, theirs)})
}
