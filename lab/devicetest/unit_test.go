//go:build lab

package devicetest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/device"
)

// patience is for a machine on which others work, too: an emulated board may boot for minutes then.
const patience = 5 * time.Minute

// TestUnit looks at what systemd, udev and the journal make of the installed package, on a board whose clock says 1970
// whenever the power comes: in one boot, a power cut in a call, and another boot whose network cable is not in.
func TestUnit(t *testing.T) {
	o := openBoard(t)
	for _, step := range []struct {
		name string
		do   func(*office)
	}{
		{"user, folders and sandbox", (*office).ownUser},
		{"cards, chip and light", (*office).ownDevices},
		{"standing still in a call", (*office).standsStill},
		{"flooded journal", (*office).floodedJournal},
		{"power cut with a clock of 1970", (*office).clockOver},
	} {
		begin := time.Now()
		step.do(o)
		t.Logf("%s: %v", step.name, time.Since(begin).Round(time.Second))
		if t.Failed() {
			t.FailNow()
		}
	}
}

// openBoard boots a device without a clock of its own, and installs and starts a recorder that has no headquarters.
func openBoard(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, grown: make(chan struct{})}
	image := must(device.Prepare(within(t, 10*time.Minute), cache, device.Options{Log: slog.Default()}))(t)
	o.device = must(device.Start(within(t, patience), image, device.Config{
		Data:  &device.Disk{Mount: "/var/lib/linekeeper"},
		Clock: time.Unix(0, 0),
		Boot:  patience,
		OnAck: o.heard,
	}))(t)
	t.Cleanup(func() {
		if t.Failed() {
			console, _ := os.ReadFile(o.device.Console())
			said := o.words()
			t.Logf("the console:\n%s\nthe end of what the recorder said:\n%s", console, strings.Join(said[max(0, len(said)-100):], "\n"))
		}
		_ = o.device.Close()
	})
	ctx := within(t, patience)
	o.copy(latestPackage(t), "/root/linekeeper.deb", 0o644)
	o.shell(ctx, "dpkg --install /root/linekeeper.deb")
	if err := o.device.WriteFile(ctx, "/etc/linekeeper/linekeeper.toml", []byte(boardSettings()), 0o640); err != nil {
		t.Fatal(err)
	}
	// The recorder's own patience of 90 s is too long to wait for.
	o.shell(ctx, `chgrp linekeeper /etc/linekeeper/linekeeper.toml
		mkdir -p /etc/systemd/system/linekeeper.service.d
		printf '[Service]\nWatchdogSec=10\n' >/etc/systemd/system/linekeeper.service.d/quick.conf
		systemctl daemon-reload && udevadm settle && systemctl start linekeeper.service`)
	o.follow(ctx)
	o.await(0, 1, ready, patience)
	return o
}

func boardSettings() string {
	return fmt.Sprintf(`[ring]
size = "64MiB"
[calls]
hang_over = "3s"
[seal]
clear = true
[light]
pin = "GPIO%d"
[[line]]
name = "line 1"
device = %q
[[line]]
name = "line 2"
device = %q
`, pin, device.Microphone(1, 0), device.Microphone(2, 0))
}

// says holds what a line of shell prints in the guest, however it ends, against what is wanted.
func (o *office) says(want, line string) {
	o.t.Helper()
	out := must(o.device.Exec(within(o.t, patience), "sh", "-c", line))(o.t)
	if got := strings.TrimSpace(out.Stdout); got != want {
		o.t.Errorf("%s: %q, wanted %q; %s", line, got, want, out.Stderr)
	}
}

// tells is a line of shell's number.
func (o *office) tells(line string) int64 {
	o.t.Helper()
	return must(strconv.ParseInt(strings.TrimSpace(o.shell(within(o.t, patience), line)), 10, 64))(o.t)
}

const analyser = "systemd-analyze" //nolint:misspell // a program's name

const mainProcess = "$(systemctl show --property=MainPID --value linekeeper)"

func (o *office) ownUser() {
	o.says("linekeeper linekeeper", "stat -c '%U %G' /proc/"+mainProcess)
	o.says("linekeeper audio gpio", "id -nG linekeeper")
	o.says("0000000000000000", `awk '/^CapEff/ { print $2 }' /proc/`+mainProcess+"/status")
	for path, want := range map[string]string{
		"/etc/linekeeper":                 "750 root linekeeper",
		"/etc/linekeeper/linekeeper.toml": "640 root linekeeper",
		"/var/lib/linekeeper":             "700 linekeeper linekeeper",
		"/var/lib/linekeeper/identity":    "700 linekeeper linekeeper",
		"/run/linekeeper":                 "755 linekeeper linekeeper",
	} {
		o.says(want, "stat -c '%a %U %G' "+path)
	}
	o.says("", `find /var/lib/linekeeper -mindepth 1 -name lost+found -prune -o \( ! -user linekeeper -o -perm /077 \) -print`)
	o.says("bbr", "grep -o bbr /proc/sys/net/ipv4/tcp_available_congestion_control")
	out := must(o.device.Exec(within(o.t, patience), analyser, "security", "--no-pager", "--threshold=15", "linekeeper.service"))(o.t)
	lines := strings.Split(strings.TrimSpace(out.Stdout), "\n")
	if o.t.Logf("%s", lines[len(lines)-1]); out.Code != 0 {
		o.t.Errorf("the sandbox is looser than 1.5: %s%s", out.Stdout, out.Stderr)
	}
}

// ownDevices looks at what udev made of cards, GPIO chip and lights. These cards are in no USB port: they keep their
// names.
func (o *office) ownDevices() {
	const asRecorder = "setpriv --reuid=linekeeper --regid=linekeeper --init-groups "
	o.shell(within(o.t, patience), "udevadm trigger --action=add --subsystem-match=sound && udevadm settle")
	o.says("Line1\nLine2", "cat /sys/class/sound/card*/id")
	o.says("660 root gpio", "stat -c '%a %U %G' /dev/gpiochip0")
	o.says("well", asRecorder+"sh -c 'test -r /dev/gpiochip0 -a -w /dev/gpiochip0 && echo well'")
	o.says("well", asRecorder+"sh -c 'test -r /dev/snd/controlC0 -a -w /dev/snd/pcmC0D1c && echo well'")
	led := strings.TrimSpace(must(o.device.Poll(within(o.t, patience), `udevadm settle
		led=$(ls -d /sys/class/leds/*::capslock | head -n 1) && test -n "$led" && echo "$led"`))(o.t)) // of a keyboard
	for _, file := range []string{"brightness", "trigger"} {
		o.says("664 root gpio", "stat -c '%a %U %G' "+led+"/"+file)
		o.says("well", asRecorder+"sh -c 'test -w "+led+"/"+file+" && echo well'")
	}
	o.says("1", "setpriv --reuid=nobody --regid=nogroup --clear-groups sh -c 'test -w /dev/gpiochip0'; echo $?")
	o.awaitLight(lightIdle, patience)
}

// recorded is what the running recorder lists.
type recorded struct {
	Call     string        `json:"call"`
	Line     string        `json:"line"`
	Began    time.Time     `json:"began"`
	Duration time.Duration `json:"duration_ns"`
	State    string        `json:"state"`
	Ended    string        `json:"ended"`
}

// calls are those in the ring whose beginning was spoken of since a moment.
func (o *office) calls(since int) (found []recorded) {
	o.t.Helper()
	spoken := map[string]bool{}
	for _, id := range callsOf(o.words()[since:]) {
		spoken[id] = true
	}
	var all []recorded
	if err := json.Unmarshal([]byte(o.shell(within(o.t, patience), "linekeeper calls --json")), &all); err != nil {
		o.t.Fatal(err)
	}
	for _, c := range all {
		if spoken[c.Call] {
			o.t.Logf("%s: %v from %s, %s, %s", c.Line, c.Duration.Round(100*time.Millisecond), c.Began.Format(time.TimeOnly), c.Ended, c.State)
			found = append(found, c)
		}
	}
	return found
}

// standsStill freezes the recorder in two calls. Its watchdog has it started again, and what was recorded is there.
func (o *office) standsStill() {
	since := o.moment()
	wait := o.play(o.plan(11, 1, 13*time.Second))
	o.await(since, 2, callBegan, patience)
	o.talk(cutAfter)
	ctx := within(o.t, patience)
	before := o.tells("systemctl show --property=NRestarts --value linekeeper")
	o.shell(ctx, "kill -STOP "+mainProcess)
	frozen := time.Now()
	o.await(since, 1, ready, patience)
	o.t.Logf("ready again %v after it stood still", time.Since(frozen).Round(100*time.Millisecond))
	if err := wait(); err != nil {
		o.t.Fatal(err)
	}
	if after := o.tells("systemctl show --property=NRestarts --value linekeeper"); after != before+1 {
		o.t.Errorf("%d restarts, %d before", after, before)
	}
	o.says("1", "journalctl --boot --unit=linekeeper --grep='Watchdog timeout' --output=cat | wc -l")
	o.keptUpTo(since)
}

// keptUpTo holds the calls on both lines, cut cutAfter they began, against what the promise lets go.
func (o *office) keptUpTo(since int) {
	o.t.Helper()
	kept := map[string]time.Duration{}
	for _, c := range o.calls(since) {
		kept[c.Line] = max(kept[c.Line], c.Duration)
	}
	for _, line := range []string{"line 1", "line 2"} {
		if kept[line] < cutAfter-3*time.Second {
			o.t.Errorf("%s: %v is kept of a call that was recorded for %v", line, kept[line], cutAfter)
		}
	}
}

// floodedJournal writes more into the journal than it may keep.
func (o *office) floodedJournal() {
	const bound, file = 64 << 20, 8 << 20 // of systemd/linekeeper.journald.conf
	for key, size := range map[string]string{"SystemMaxUse": "64M", "SystemMaxFileSize": "8M", "RuntimeMaxUse": "16M"} {
		o.says(size, analyser+" cat-config systemd/journald.conf | sed -n 's/^"+key+"=//p' | tail -n 1")
	}
	o.shell(within(o.t, patience), `head -c 75M /dev/urandom | base64 -w 40000 | systemd-cat --identifier=flood && journalctl --sync`)
	used := o.tells("du -bs /var/log/journal | cut -f 1")
	o.t.Logf("100 MB written to the journal, which uses %d MiB: %s", used>>20, strings.TrimSpace(o.shell(within(o.t, patience), "journalctl --disk-usage")))
	if used > bound+file || used < bound/2 {
		o.t.Errorf("the journal uses %d bytes, bound %d", used, bound)
	}
}

// clockOver cuts the power in two calls, and has the board come back with a clock of 1970 and no network.
func (o *office) clockOver() {
	o.says("10min", analyser+" cat-config systemd/timesyncd.conf | sed -n 's/^SaveIntervalSec=//p' | tail -n 1")
	ctx := within(o.t, patience)
	// Ten minutes between two times that are saved are too long to wait for.
	o.shell(ctx, `mkdir -p /etc/systemd/timesyncd.conf.d
		printf '[Time]\nSaveIntervalSec=5\n' >/etc/systemd/timesyncd.conf.d/quick.conf`)
	if err := o.device.SetClock(ctx, time.Now()); err != nil {
		o.t.Fatal(err)
	}
	o.shell(ctx, "systemctl restart systemd-timesyncd")

	since := o.moment()
	wait := o.play(o.plan(12, 1, 13*time.Second))
	o.await(since, 2, callBegan, patience)
	o.talk(cutAfter)
	saved, before := o.tells("stat -c %Y /var/lib/systemd/timesync/clock"), o.tells("date +%s")
	o.device.PowerCut()
	if err := wait(); err == nil {
		o.t.Error("the sound was played to its end without power")
	}

	begin := time.Now()
	if err := o.device.PowerOn(ctx); err != nil {
		o.t.Fatal(err)
	}
	o.link(false)
	o.follow(ctx)
	o.await(since, 1, ready, patience)
	o.t.Logf("the recorder was ready %v after power on", time.Since(begin).Round(100*time.Millisecond))
	o.withoutNetwork()

	o.says("1970", "date -u -d @$(cat /sys/class/rtc/rtc0/since_epoch) +%Y")
	first := o.tells("journalctl --boot --unit=linekeeper --output=json --lines=all | sed -n '1s/.*\"__REALTIME_TIMESTAMP\":\"\\([0-9]*\\)[0-9]\\{6\\}\".*/\\1/p'")
	after := o.tells("date +%s")
	show := func(s int64) string { return time.Unix(s, 0).UTC().Format(time.DateTime) }
	o.t.Logf("last time saved %s; before the cut %s; the recorder started at %s; now %s", show(saved), show(before), show(first), show(after))
	if saved < before-60 || first < saved || after < first || after > time.Now().Unix() {
		o.t.Errorf("the clock went wrong over the power cut")
	}
	o.keptUpTo(since)

	since = o.moment()
	if err := o.play(o.plan(13, 1, 6*time.Second))(); err != nil {
		o.t.Fatal(err)
	}
	o.await(since, 2, callEnded, patience)
	for _, c := range o.calls(since) {
		if c.Began.Unix() < saved || c.Duration < 5*time.Second {
			o.t.Errorf("%s: a call of %v that began at %v, after the clock was saved at %s", c.Line, c.Duration, c.Began, show(saved))
		}
	}
	o.withoutNetwork()
}

// withoutNetwork holds that there was none in this boot.
func (o *office) withoutNetwork() {
	o.t.Helper()
	o.says("0", "cat /sys/class/net/en*/carrier || echo 0")
	o.says("", "ip route show default")
	o.says("0", "journalctl --boot --unit=systemd-networkd --output=cat | grep -c 'DHCPv4 address'")
}
