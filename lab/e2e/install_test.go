//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
	"github.com/linekeeper/linekeeper/pcm"
)

// bundled has headquarters put a bundle onto a stick.
func bundled(t *testing.T, head *station.Headquarters, dir, stick string, more ...string) {
	t.Helper()
	settings := filepath.Join(dir, "bundle.toml")
	_, https, _ := net.SplitHostPort(head.Recorders)
	text := fmt.Sprintf("[ring]\nsize = \"64MiB\"\n[calls]\nhang_over = \"3s\"\n[uplink]\nhttps = \"https://127.0.0.1:%s\"\n[[line]]\nname = \"line 1\"\ndevice = \"plughw:CARD=Gone,DEV=0\"\n", https)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	must(head.Command(append([]string{"bundle", "--site", "Lichinga", "--out", stick, "--settings", settings, "--host", "127.0.0.1"}, more...)...))(t)
}

// bareRecorder is one that nobody has set up.
func bareRecorder(t *testing.T, dir string) *station.Recorder {
	t.Helper()
	r := &station.Recorder{Program: program(t, "linekeeper"), Dir: filepath.Join(dir, "recorder"), Config: filepath.Join(dir, "recorder", "linekeeper.toml")}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("data = %q\ncontrol = %q\n", filepath.Join(r.Dir, "data"), filepath.Join(r.Dir, "control.sock"))
	if err := os.WriteFile(r.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestInstallFromAStick is the way of an installer: bundle, stick, first start, certificate, first calls; then the stick takes
// calls out, brings receipts in, and a newer bundle. Nobody logs in to the recorder.
func TestInstallFromAStick(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	head, office, stick := headquarters(t, dir, nil), bareRecorder(t, dir), t.TempDir()
	server := start(t, head.Start)
	waiting := must(station.Start("recorder", filepath.Join(office.Dir, "log"), nil, nil, office.Program, "run", "--wait", "--config", office.Config, "--log", "json"))(t)
	t.Cleanup(waiting.Kill)
	must(waiting.Await(within(t, 30*time.Second), 1, func(e station.Event) bool { return strings.Contains(e.Message, "waiting for a stick") }))(t)
	bundled(t, head, dir, stick)
	put := func() {
		t.Helper()
		for _, step := range []string{"--read", "--write"} {
			if said, err := office.Command("stick", step, stick); err != nil {
				t.Fatalf("stick %s: %v: %s", step, err, said)
			}
		}
	}
	if said, err := office.Command("stick", "--read", stick); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	select {
	case <-waiting.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the recorder does not take up its settings")
	}
	// As systemd does: started again, it enrols and is known.
	first := start(t, office.Start)
	if said, err := office.Command("stick", "--write", stick); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	await(t, first, 1, "connected", 30*time.Second)
	await(t, server, 1, "recorder is online", 10*time.Second)
	reports, _ := filepath.Glob(filepath.Join(stick, "linekeeper", "reports", "*.txt"))
	if len(reports) != 1 {
		t.Fatalf("reports: %v", reports)
	}
	report := string(must(os.ReadFile(reports[0]))(t))
	contains(t, report, "ACCEPTED: this is recorder ", " of Lichinga now", "line 1")
	if said := must(head.Command("recorder", "list"))(t); !strings.Contains(said, "Lichinga") {
		t.Errorf("recorders: %s", said)
	}
	if err := first.Stop(); err != nil {
		t.Error(err)
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	plan := phone.PlanOptions{Lines: 1, Calls: 3, Rate: lineRate, Shortest: 3 * time.Second, Longest: 9 * time.Second, Pause: 20 * time.Second, After: 20 * time.Second, Seed: 3}
	audio := must(phone.Plan(must(phone.FindVoices())(t), plan))(t)[0]
	wav := filepath.Join(dir, "calls.wav")
	if err := os.WriteFile(wav, pcm.AppendBytes(pcm.WAVHeader(audio.Format, int64(len(audio.Samples))), audio.Samples), 0o600); err != nil {
		t.Fatal(err)
	}
	must(office.Command("replay", wav, "--keep"))(t)

	// The link is down: the stick takes the calls out, and a newer bundle and receipts in.
	second := start(t, office.Start)
	put()
	imported(t, head, stick, 0)
	bundled(t, head, dir, stick)
	if said, err := office.Command("stick", "--read", stick); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	<-second.Done() // for its new settings
	start(t, office.Start)
	if said, err := office.Command("stick", "--write", stick); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if said := must(office.Command("calls"))(t); !strings.Contains(said, "no calls in the ring") {
		t.Errorf("they stand in the ring: %s", said)
	}
	found := calls(t, head)
	for _, c := range found {
		if c.Stage != hq.StageDurable || c.Site != "Lichinga" || c.Via != "courier" {
			t.Errorf("%+v", c)
		}
	}
	if len(found) < 3 {
		t.Errorf("%d calls at headquarters", len(found))
	}
}

// TestProvisioningKilled kills the recorder's program 50 times while it takes a bundle: it has its old identity or its new one,
// whole, and the next time the bundle is taken.
func TestProvisioningKilled(t *testing.T) {
	t.Parallel()
	const kills = 50
	dir := folder(t)
	head, office, stick := headquarters(t, dir, nil), bareRecorder(t, dir), t.TempDir()
	identity := filepath.Join(office.Dir, "data", "identity")
	whole := time.Hour
	for range 3 { // the first time the program itself has to come from the disk
		bundled(t, head, dir, stick)
		began := time.Now()
		must(office.Command("stick", "--read", stick))(t)
		whole = min(whole, time.Since(began))
	}
	device := must(os.ReadFile(filepath.Join(identity, "device.key")))(t)
	random := rand.New(rand.NewPCG(3, 4))
	oldOnes, newOnes := 0, 0
	for n := 0; n < kills; {
		had := must(os.ReadFile(filepath.Join(identity, "bundle.jws")))(t)
		bundled(t, head, dir, stick)
		next := must(os.ReadFile(filepath.Join(stick, "linekeeper", "bundle.jws")))(t)
		if killed(t, time.Duration(random.Int64N(int64(whole))), office.Program, "stick", "--read", stick, "--config", office.Config) {
			n++
		}
		switch got := strings.TrimSpace(string(must(os.ReadFile(filepath.Join(identity, "bundle.jws")))(t))); got {
		case strings.TrimSpace(string(had)):
			oldOnes++
		case strings.TrimSpace(string(next)):
			newOnes++
		default:
			t.Fatalf("killed %d times: neither the old bundle nor the new one", n)
		}
		if key := must(os.ReadFile(filepath.Join(identity, "device.key")))(t); string(key) != string(device) {
			t.Fatalf("killed %d times: another key", n)
		}
		must(office.Command("stick", "--read", stick))(t)
		if got := must(os.ReadFile(filepath.Join(identity, "bundle.jws")))(t); strings.TrimSpace(string(got)) != strings.TrimSpace(string(next)) {
			t.Fatalf("killed %d times, and the bundle is not taken", n)
		}
	}
	t.Logf("killed %d times in mid-way of %v: the old identity %d times, the new one %d times", kills, whole.Round(time.Millisecond), oldOnes, newOnes)
}
