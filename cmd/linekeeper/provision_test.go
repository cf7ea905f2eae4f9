package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/provision"
	"github.com/linekeeper/linekeeper/stick"
	"github.com/linekeeper/linekeeper/wire"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// installer has a bundle from a headquarters, a stick, and a recorder of nobody.
type installer struct {
	t             testing.TB
	ca            *authority.Authority
	number        uint64
	config, stick string
	data          string
}

func newInstaller(t testing.TB) *installer {
	dir := t.TempDir()
	ca, err := authority.Open(filepath.Join(dir, "authority"), time.Now)
	check(t, err)
	i := &installer{t: t, ca: ca, number: 100, config: filepath.Join(dir, "linekeeper.toml"), stick: filepath.Join(dir, "stick"), data: filepath.Join(dir, "data")}
	check(t, os.Mkdir(i.stick, 0o700))
	check(t, os.WriteFile(i.config, fmt.Appendf(nil, "data = %q\ncontrol = %q\n", i.data, filepath.Join(dir, "control.sock")), 0o600))
	return i
}

// bundle puts a new bundle on the stick.
func (i *installer) bundle(change func(*wire.Bundle)) {
	i.t.Helper()
	i.number++
	to, err := i.ca.Recipient()
	check(i.t, err)
	b := wire.Bundle{Number: i.number, Time: time.Now(), Site: "Lichinga", Enrol: "https://127.0.0.1:1", Token: wire.NewToken(), Authority: string(i.ca.CertificatePEM()),
		SealTo: []string{to}, Settings: "[uplink]\nhttps = \"https://127.0.0.1:1\"\n\n[[line]]\nname = \"front desk\"\ndevice = \"plughw:CARD=Gone,DEV=0\"\n"}
	if change != nil {
		change(&b)
	}
	jws, err := wire.SignBundle(i.ca.ReceiptKey(), b)
	check(i.t, err)
	i.put(wire.BundleFile, jws)
}

func (i *installer) put(name, text string) {
	i.t.Helper()
	path := filepath.Join(i.stick, name)
	check(i.t, os.MkdirAll(filepath.Dir(path), 0o700))
	check(i.t, os.WriteFile(path, []byte(text), 0o600))
}

func (i *installer) run(args ...string) (code int, out, errs string) {
	i.t.Helper()
	root := newRoot()
	var stdout, stderr bytes.Buffer
	root.SetIn(strings.NewReader(""))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	code = command.Execute(i.t.Context(), root, append(args, "--config", i.config))
	return code, stdout.String(), stderr.String()
}

// apply takes the bundle on the stick, and does without the selftest.
func (i *installer) apply() {
	i.t.Helper()
	c, err := loadMachine(i.config)
	check(i.t, err)
	s, err := stick.Open(i.stick, stick.Options{})
	check(i.t, err)
	defer s.Close()
	_, err = c.takeBundle(s)
	check(i.t, err)
}

// state is all that stands in the recorder's folder.
func (i *installer) state() string {
	var all strings.Builder
	err := filepath.WalkDir(i.data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(&all, "%s %x\n", path, b)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		i.t.Error(err)
	}
	return all.String()
}

func TestProvision(t *testing.T) {
	i := newInstaller(t)
	i.bundle(nil)
	code, out, errs := i.run("provision", i.stick)
	if code != 0 || !strings.Contains(out, "ACCEPTED: this is recorder ") {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	c, err := loadConfig(i.config)
	check(t, err)
	if len(c.Lines) != 1 || c.Lines[0].Name != "front desk" || c.Data != i.data || c.Uplink.HTTPS != "https://127.0.0.1:1" {
		t.Errorf("settings: %+v", c)
	}
	id, err := loadIdentity(c.identityDir(), c.hasUplink(), c.Uplink.HTTPS)
	check(t, err)
	if !id.receipt.Equal(i.ca.ReceiptKey().Public()) || id.enroller == nil {
		t.Errorf("%+v", id)
	}
	// The report names the recorder, holds no secret, and is for programs too.
	text, err := os.ReadFile(filepath.Join(i.stick, wire.ReportFolder, string(id.device)+".json"))
	check(t, err)
	var report provisionReport
	check(t, json.Unmarshal(text, &report))
	if !report.Accepted || report.Device != id.device || report.Site != "Lichinga" || report.Selftest == nil || len(report.Selftest.Results) == 0 {
		t.Errorf("%s", text)
	}
	token, err := os.ReadFile(filepath.Join(c.identityDir(), provision.FileToken))
	check(t, err)
	if strings.Contains(string(text)+out, strings.TrimSpace(string(token))) {
		t.Error("the token stands in the report")
	}
	before := i.state()
	if code, out, _ := i.run("provision", i.stick); code != 0 || !strings.Contains(out, "ACCEPTED before") || i.state() != before {
		t.Errorf("again: exit code %d, %s", code, out)
	}
	if code, _, errs := i.run("provision", t.TempDir()); code != 1 || !strings.Contains(errs, "linekeeper-hq bundle") {
		t.Errorf("an empty stick: exit code %d, %s", code, errs)
	}
}

// TestHostileSticks: each does nothing, to a new recorder and to one that has its headquarters, and the reason is said and
// stands on the stick where it can.
func TestHostileSticks(t *testing.T) {
	outside := t.TempDir()
	check(t, os.WriteFile(filepath.Join(outside, "bundle.jws"), []byte("x"), 0o600))
	bundle := func(i *installer) string { return filepath.Join(i.stick, wire.BundleFile) }
	for name, c := range map[string]struct {
		make func(i *installer)
		want string
		old  bool // only a recorder that has its headquarters refuses it
	}{
		"huge":      {func(i *installer) { i.put(wire.BundleFile, ""); check(t, os.Truncate(bundle(i), 1<<40)) }, "at most", false},
		"malformed": {func(i *installer) { i.put(wire.BundleFile, strings.Repeat("{", 60_000)) }, "bundle", false},
		"empty":     {func(i *installer) { i.put(wire.BundleFile, "") }, "bundle", false},
		"a link out": {func(i *installer) {
			check(t, os.MkdirAll(filepath.Dir(bundle(i)), 0o700))
			check(t, os.Symlink(filepath.Join(outside, "bundle.jws"), bundle(i)))
		}, "a link", false},
		"a folder that is a link": {func(i *installer) { check(t, os.Symlink(outside, filepath.Join(i.stick, wire.CourierFolder))) }, "link", false},
		"deep": {func(i *installer) {
			check(t, os.MkdirAll(filepath.Join(bundle(i), strings.Repeat("deep/", 200)), 0o700))
		}, "not a file", false},
		"a pipe": {func(i *installer) {
			check(t, os.MkdirAll(filepath.Dir(bundle(i)), 0o700))
			check(t, syscall.Mkfifo(bundle(i), 0o600))
		}, "not a file", false},
		"renamed": {func(i *installer) { i.bundle(nil); check(t, os.Rename(bundle(i), bundle(i)+".txt")) }, "neither linekeeper-bundle.jws nor", false},
		"wrong signature": {func(i *installer) {
			i.bundle(nil)
			b, err := os.ReadFile(bundle(i))
			check(t, err)
			i.put(wire.BundleFile, string(b[:len(b)-20])+"AAAA"+string(b[len(b)-16:]))
		}, "not signed", false},
		"settings with an unknown key": {func(i *installer) {
			i.bundle(func(b *wire.Bundle) { b.Settings = "[[line]]\nname = \"a\"\ndevise = \"x\"\n" })
		}, `settings.toml:3: unknown key "line.devise"`, false},
		"settings that move the data": {func(i *installer) { i.bundle(func(b *wire.Bundle) { b.Settings = "data = \"/etc\"\n" }) }, "neither where the recorder keeps its data", false},
		"settings that are none":      {func(i *installer) { i.bundle(func(b *wire.Bundle) { b.Settings = "\x00\x01" }) }, "settings", false},
		"another site's":              {func(i *installer) { i.bundle(func(b *wire.Bundle) { b.Site = "Pemba" }) }, `for site "Pemba"`, true},
		"another recorder's":          {func(i *installer) { i.bundle(func(b *wire.Bundle) { b.Device = "ABCDEFGH" }) }, "for recorder ABCDEFGH", false},
		"another headquarters'": {func(i *installer) {
			ca := i.ca
			defer func() { i.ca = ca }()
			i.ca, _ = authority.Open(t.TempDir(), time.Now)
			i.bundle(nil)
		}, "another headquarters", true},
		"an old one replayed": {func(i *installer) { i.number = 50; i.bundle(nil) }, "not newer", true},
	} {
		for _, fresh := range []bool{true, false} {
			if fresh && c.old {
				continue
			}
			t.Run(fmt.Sprintf("%s, new %t", name, fresh), func(t *testing.T) {
				i := newInstaller(t)
				if !fresh {
					i.bundle(nil)
					i.apply()
					check(t, os.RemoveAll(i.stick))
					check(t, os.Mkdir(i.stick, 0o700))
				}
				before := i.state()
				c.make(i)
				code, out, errs := i.run("provision", i.stick)
				if code != 1 || !strings.Contains(errs, c.want) {
					t.Errorf("exit code %d, %s, want %q", code, errs, c.want)
				}
				if strings.Contains(out, "ACCEPTED") || i.state() != before {
					t.Errorf("something changed: %s", out)
				}
				if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
					t.Errorf("outside the stick: %v, %v", left, err)
				}
			})
		}
	}
}

// TestOwnSettingsHold: a settings file with lines of its own is not overruled by a stick.
func TestOwnSettingsHold(t *testing.T) {
	i := newInstaller(t)
	i.bundle(nil)
	text, err := os.ReadFile(i.config)
	check(t, err)
	check(t, os.WriteFile(i.config, append(text, "\n[[line]]\nname = \"mine\"\ndevice = \"x\"\n"...), 0o600))
	if code, _, errs := i.run("provision", i.stick); code != 2 || !strings.Contains(errs, "of its own") || i.state() != "" {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// TestWaitsForBundle: a recorder that is not set up tells systemd that it is up, shows what is done with a stick, and ends
// when it has settings.
func TestWaitsForBundle(t *testing.T) {
	i := newInstaller(t)
	system, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify")})
	check(t, err)
	defer system.Close()
	t.Setenv("NOTIFY_SOCKET", system.LocalAddr().String())
	c, err := loadConfig(i.config)
	check(t, err)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- waitForBundle(ctx, c, slog.New(slog.DiscardHandler)) }()
	var s statusReport
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) { // a socket appears: there is nothing to wait on
		if err = askControl(ctx, c.Control, controlStatus, &s); err == nil || time.Now().After(until) {
			break
		}
	}
	if err != nil || s.State != call.StateAlarm || !strings.Contains(s.Reasons[0], "not set up") {
		t.Errorf("%+v, %v", s, err)
	}
	told := make([]byte, 200)
	n, err := system.Read(told)
	if err != nil || !strings.HasPrefix(string(told[:n]), "READY=1\n") {
		t.Errorf("systemd is told %q, %v", told[:n], err)
	}
	if !c.light(ctx, stickReading) || c.light(ctx, "dancing") {
		t.Error("the light does not take what it should, or takes anything")
	}
	i.bundle(nil)
	if code, _, errs := i.run("provision", i.stick); code != 0 {
		t.Fatal(errs)
	}
	select {
	case err := <-ended:
		check(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("it waits still")
	}
}

func TestSigns(t *testing.T) {
	var board signBoard
	now := time.Now()
	if board.shown(now) != "" || board.verdict(now) {
		t.Error("shows something from the start")
	}
	for one, how := range signs {
		if how.pattern == 0 || how.words == "" {
			t.Errorf("%s has no light, or no words", one)
		}
		board.set(one, time.Now())
		now := time.Now()
		if board.shown(now) != one || board.shown(now.Add(how.shown+time.Second)) != "" {
			t.Errorf("does not show %s, or for ever", one)
		}
		if lasting := one == stickReading || one == testRuns; board.verdict(now) == lasting {
			t.Errorf("%s is a verdict: %t", one, lasting)
		}
	}
	// The unit of a stick that was refused says so too, late on a busy machine: it is not shown twice. Of the next one it is.
	board.set(stickRefused, now)
	board.set(stickRefused, now.Add(5*time.Second))
	if board.shown(now.Add(5*time.Second)) != "" {
		t.Error("a refusal is shown twice")
	}
	for _, next := range []time.Duration{6 * time.Second, time.Minute} {
		if next < 10*time.Second {
			board.set(stickReading, now.Add(next))
		}
		if board.set(stickRefused, now.Add(next)); board.shown(now.Add(next)) != stickRefused {
			t.Errorf("a refusal after %v is not shown", next)
		}
	}
}

// TestStickUnit does what the unit does: with the stick read-only first, and then for writing.
func TestStickUnit(t *testing.T) {
	listing := func(dir string) (all []string) {
		check(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { all = append(all, path); return err }))
		return all
	}
	i := newInstaller(t)
	// A recorder that is not set up says so of a stick with nothing of ours.
	if code, _, errs := i.run("stick", "--read", i.stick); code != 0 || len(listing(i.stick)) != 1 {
		t.Errorf("an empty stick is read: exit code %d, %s", code, errs)
	}
	if code, _, errs := i.run("stick", "--write", i.stick); code != 1 || !strings.Contains(errs, "lies on the stick") {
		t.Errorf("an empty stick is written: exit code %d, %s", code, errs)
	}
	i.bundle(func(b *wire.Bundle) { b.Settings = "rubbish" })
	before := listing(i.stick)
	if code, _, errs := i.run("stick", "--read", i.stick); code != 0 || len(listing(i.stick)) != len(before) {
		t.Errorf("a bad bundle is read: exit code %d, %s", code, errs)
	}
	code, _, errs := i.run("stick", "--write", i.stick)
	report, err := os.ReadFile(filepath.Join(i.stick, wire.ReportFolder, "new.txt"))
	if code != 1 || err != nil || !strings.Contains(string(report), "REFUSED: the bundle's settings") || !strings.Contains(errs, "refused") {
		t.Errorf("and reported: exit code %d, %s, %s, %v", code, errs, report, err)
	}
	i.bundle(nil)
	if code, _, errs := i.run("stick", "--read", i.stick); code != 0 {
		t.Error(errs)
	}
	if c, err := loadConfig(i.config); err != nil || len(c.Lines) != 1 {
		t.Errorf("%+v, %v", c.Lines, err)
	}
	for range 2 { // pulled before the report was written, it is written the next time
		if code, _, errs := i.run("stick", "--write", i.stick); code != 0 {
			t.Error(errs)
		}
	}
	reports, err := filepath.Glob(filepath.Join(i.stick, wire.ReportFolder, "*.txt"))
	if err != nil || len(reports) != 2 {
		t.Errorf("%v, %v", reports, err)
	}
	// A bundle that a browser has saved at the top goes before one that lies in the folder from before.
	i.bundle(func(b *wire.Bundle) { b.Settings += "country = \"mz\"\n" })
	check(t, os.Rename(filepath.Join(i.stick, wire.BundleFile), filepath.Join(i.stick, wire.BundleAtTop)))
	i.put(wire.BundleFile, "rubbish")
	if code, _, errs := i.run("stick", "--read", i.stick); code != 0 {
		t.Error(errs)
	}
	if c, err := loadConfig(i.config); err != nil || c.Lines[0].Country != "mz" {
		t.Errorf("%+v, %v", c.Lines, err)
	}
	t.Setenv("SERVICE_RESULT", "exit-code")
	if code, _, errs := i.run("stick", "--ended", filepath.Join(i.stick, "gone")); code != 0 {
		t.Error(errs)
	}
	for _, args := range [][]string{{i.stick}, {"--read", "--write", i.stick}, {"--ended", "--write", i.stick}} {
		if code, _, _ := i.run(append([]string{"stick"}, args...)...); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

// TestNetworks: what linekeeper-networks.service runs writes the networks of the bundle that was applied, and no secret
// anywhere else; the next bundle has none, and takes them away.
func TestNetworks(t *testing.T) {
	i := newInstaller(t)
	into, country := t.TempDir(), filepath.Join(t.TempDir(), "country")
	networks := func() string {
		t.Helper()
		i.apply()
		code, out, errs := i.run("networks", "--into", into, "--country", country, filepath.Join(i.data, "identity", provision.FileBundle))
		if code != 0 || errs != "" {
			t.Fatalf("exit code %d, %s", code, errs)
		}
		return out
	}
	i.bundle(func(b *wire.Bundle) {
		b.Networks = []wire.Network{{Kind: wire.NetworkWiFi, Name: "office", Password: "long enough", Country: "MZ"}}
	})
	if out := networks(); !strings.HasPrefix(out, "1 networks") || strings.Contains(out, "long") {
		t.Errorf("it says %q", out)
	}
	files, err := filepath.Glob(filepath.Join(into, "*"))
	where, wrong := os.ReadFile(country)
	if err != nil || wrong != nil || len(files) != 1 || string(where) != "MZ" {
		t.Errorf("%v, %v, %s, %v", files, err, where, wrong)
	}
	if out := networks(); out != "" {
		t.Errorf("again it says %q", out)
	}
	i.bundle(nil)
	networks()
	files, err = filepath.Glob(filepath.Join(into, "*"))
	if where, wrong := os.ReadFile(country); err != nil || wrong != nil || len(files) != 0 || len(where) != 0 {
		t.Errorf("%v, %v, %q, %v", files, err, where, wrong)
	}
	// After a reset the unit gives it an empty bundle.
	i.bundle(func(b *wire.Bundle) {
		b.Networks = []wire.Network{{Kind: wire.NetworkMobile, Name: "internet", PIN: "0000"}}
	})
	networks()
	none := filepath.Join(t.TempDir(), "none")
	check(t, os.WriteFile(none, []byte("\n"), 0o600))
	code, out, errs := i.run("networks", "--into", into, "--country", country, none)
	if files, err = filepath.Glob(filepath.Join(into, "*")); code != 0 || errs != "" || !strings.HasPrefix(out, "no bundle") || err != nil || len(files) != 0 {
		t.Errorf("exit code %d, %s%s, %v, %v", code, out, errs, files, err)
	}
	if code, _, _ := i.run("networks", "x"); code != 2 {
		t.Errorf("without a folder: exit code %d", code)
	}
	if code, _, errs := i.run("networks", "--into", into, filepath.Join(into, "missing")); code != 1 || !strings.Contains(errs, "read the bundle") {
		t.Errorf("without a bundle: exit code %d, %s", code, errs)
	}
}
