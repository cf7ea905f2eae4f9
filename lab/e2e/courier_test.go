//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/uplink/courier"
)

// waiting is an office whose recorder runs, hears nothing, and has calls of real speech in its ring; and its headquarters.
func waiting(t *testing.T, dir string, count int, order ...string) (*station.Headquarters, *station.Recorder, map[call.ID]call.Manifest) {
	t.Helper()
	head := headquarters(t, dir, nil)
	office := recorder(t, dir, head, station.RecorderOptions{
		Lines: []station.Line{{Name: "line 1", Device: "plughw:CARD=Gone,DEV=0"}}, HangOver: "3s", Order: order,
	})
	plan := phone.PlanOptions{Lines: 1, Calls: count, Rate: lineRate, Shortest: 3 * time.Second, Longest: 9 * time.Second, Pause: 20 * time.Second, After: 20 * time.Second, Seed: 3}
	audio := must(phone.Plan(must(phone.FindVoices())(t), plan))(t)[0]
	wav := filepath.Join(dir, "calls.wav")
	if err := os.WriteFile(wav, pcm.AppendBytes(pcm.WAVHeader(audio.Format, int64(len(audio.Samples))), audio.Samples), 0o600); err != nil {
		t.Fatal(err)
	}
	var found []struct {
		Call     call.ID       `json:"call"`
		Manifest call.Manifest `json:"manifest"`
	}
	if err := json.Unmarshal([]byte(must(office.Command("replay", wav, "--keep", "--json"))(t)), &found); err != nil {
		t.Fatal(err)
	}
	manifests := map[call.ID]call.Manifest{}
	for _, f := range found {
		manifests[f.Call] = f.Manifest
	}
	if len(manifests) < count {
		t.Fatalf("%d calls in the ring, want %d", len(manifests), count)
	}
	return head, office, manifests
}

// ended runs a command whose exit code may not be 0, and gives that and what it printed.
func ended(t *testing.T, said string, err error) (string, int) {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		return said, exit.ExitCode()
	}
	return said, 0
}

// carried runs `linekeeper courier` to its end.
func carried(t *testing.T, office *station.Recorder, dir string, code int) (done courier.Done) {
	t.Helper()
	said, err := office.Command("courier", dir, "--json")
	said, got := ended(t, said, err)
	if err := json.Unmarshal([]byte(said), &done); err != nil || got != code {
		t.Fatalf("courier ended with %d, want %d: %s", got, code, said)
	}
	return done
}

// imported runs `linekeeper-hq import` to its end.
func imported(t *testing.T, head *station.Headquarters, dir string, code int) string {
	t.Helper()
	said, err := head.Command("import", dir)
	said, got := ended(t, said, err)
	if got != code {
		t.Fatalf("import ended with %d, want %d: %s, %v", got, code, said, err)
	}
	return said
}

// sameCalls compares headquarters' calls with those that were recorded, to the byte.
func sameCalls(t *testing.T, head *station.Headquarters, want map[call.ID]call.Manifest) {
	t.Helper()
	found := calls(t, head)
	if len(found) != len(want) {
		t.Errorf("%d calls at headquarters, recorded were %d", len(found), len(want))
	}
	for _, c := range found {
		sum := sha256.Sum256(callFile(t, head, c.ID))
		if m := want[c.ID]; hex.EncodeToString(sum[:]) != m.SHA256 || c.Stage != hq.StageDurable || c.Via != "courier" {
			t.Errorf("call %s is not as it was recorded: %+v", c.ID, c)
		}
	}
	if said, err := head.Command("verify"); err != nil {
		t.Errorf("verify: %v: %s", err, said)
	}
}

// TestCourier carries the calls of a running recorder to headquarters and the receipts back, on one stick, twice.
func TestCourier(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	head, office, want := waiting(t, dir, 6)
	stick := filepath.Join(dir, "stick")
	if err := os.Mkdir(stick, 0o700); err != nil {
		t.Fatal(err)
	}
	running := start(t, office.Start)
	if done := carried(t, office, stick, 0); done.Written != len(want) || done.Entries < 2*len(want) {
		t.Errorf("first visit: %+v", done)
	}
	if done := carried(t, office, stick, 0); done.Written != 0 || done.There != len(want) {
		t.Errorf("the same stick again: %+v", done)
	}
	t.Log(imported(t, head, stick, 0))
	sameCalls(t, head, want)
	if said := imported(t, head, stick, 0); strings.Count(said, "it is here already") != len(want) {
		t.Errorf("imported again: %s", said)
	}
	// Receipts release the calls, and the stick is cleared of them.
	done := carried(t, office, stick, 0)
	if len(done.Accepted.Calls) != len(want) || done.Cleared != len(want) || done.Waiting != 0 || len(done.Accepted.Refused) != 0 {
		t.Errorf("with receipts: %+v", done)
	}
	if said := must(office.Command("calls"))(t); !strings.Contains(said, "no calls in the ring") {
		t.Errorf("they stand in the ring: %s", said)
	}
	await(t, running, len(want), "delivered", time.Second)
	imported(t, head, stick, 0) // nothing is left on it, and that is well
	// Receipts outlive a restart of the recorder, whose ring a visit can open by itself.
	if err := running.Stop(); err != nil {
		t.Error(err)
	}
	if done := carried(t, office, stick, 0); done.Waiting != 0 || len(done.Accepted.Refused) != 0 {
		t.Errorf("after the restart: %+v", done)
	}
}

// TestCourierReceiptsOverTheLink: the stick does not come back; when the recorder is next connected, headquarters tells it
// what came by courier, and nothing is sent twice.
func TestCourierReceiptsOverTheLink(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	head, office, want := waiting(t, dir, 3, "https")
	stick := t.TempDir()
	carried(t, office, stick, 0) // no recorder runs
	imported(t, head, stick, 0)
	server := start(t, head.Start)
	running := start(t, office.Start)
	await(t, running, len(want), "delivered", 60*time.Second)
	sameCalls(t, head, want)
	if words := server.AllWords(); strings.Contains(words, "call arrived") {
		t.Errorf("a call was sent that had come by courier: %s", words)
	}
	imported(t, head, stick, 0) // beside the server
}

// TestCourierKilled kills the carrier 50 times, and the import now and then, at random moments: whatever stands on the
// stick is whole, and in the end every call is at headquarters, once.
func TestCourierKilled(t *testing.T) {
	t.Parallel()
	const kills = 50
	dir := folder(t)
	head, office, want := waiting(t, dir, 12)
	start(t, office.Start)
	began := time.Now()
	carried(t, office, t.TempDir(), 0)
	whole := time.Since(began)
	random := rand.New(rand.NewPCG(1, 2))
	for n, tried := 0, 0; n < kills; tried++ {
		if tried == 10*kills {
			t.Fatalf("of %d visits only %d could be cut short", tried, n)
		}
		stick := t.TempDir()
		if !killed(t, time.Duration(random.Int64N(int64(whole))), office.Program, "courier", stick, "--config", office.Config) {
			continue // it was done before
		}
		n++
		files, err := filepath.Glob(filepath.Join(stick, "linekeeper", "*", "calls", "*.lkc"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			id := must(call.ParseID(strings.TrimSuffix(filepath.Base(name), ".lkc")))(t)
			sum := sha256.Sum256(must(os.ReadFile(name))(t))
			if hex.EncodeToString(sum[:]) != want[id].SHA256 {
				t.Errorf("killed at %d: call %s is torn", n, id)
			}
		}
		if done := carried(t, office, stick, 0); done.There != len(files) || done.There+done.Written != len(want) {
			t.Errorf("killed at %d with %d calls there: %+v", n, len(files), done)
		}
		if n%10 == 0 {
			killed(t, time.Duration(random.Int64N(int64(whole))), head.Program, "import", stick, "--config", head.Config)
			imported(t, head, stick, 0)
			sameCalls(t, head, want)
		}
	}
	t.Logf("killed %d times in visits of %v with %d calls", kills, whole.Round(time.Millisecond), len(want))
}

// killed starts a program and kills it after a while; it says whether the program had not ended by then.
func killed(t *testing.T, after time.Duration, program string, args ...string) bool {
	t.Helper()
	cmd := exec.Command(program, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
		return false
	case <-time.After(after):
	}
	_ = cmd.Process.Kill()
	<-ended
	return !cmd.ProcessState.Exited()
}

// TestCourierSticks: a stick that is full, read-only, or none is one clear line; with room for some, the rest waits.
func TestCourierSticks(t *testing.T) {
	dir := folder(t)
	head, office, want := waiting(t, dir, 3)
	stick := filepath.Join(dir, "stick")
	grow := smallDisk(t, stick, "8k")
	start(t, office.Start)
	contains(t, failing(t, office, 1, "courier", stick), "full", "take another")
	grow("1040k")
	if done := carried(t, office, stick, 3); done.NoRoom != len(want) || done.Written != 0 {
		t.Errorf("without room: %+v", done)
	}
	said := imported(t, head, stick, 3)
	if strings.Count(said, "it waits at the recorder") != len(want) {
		t.Errorf("imported without calls: %s", said)
	}
	grow("8m")
	if err := syscall.Mount("", stick, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	contains(t, failing(t, office, 1, "courier", stick), "read-only")
	if err := syscall.Mount("", stick, "", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	carried(t, office, stick, 0)
	imported(t, head, stick, 0)
	sameCalls(t, head, want)
	contains(t, failing(t, office, 1, "courier", filepath.Join(dir, "none")), "open the stick")
	_, err := head.Command("import", dir)
	contains(t, err.Error(), "no stick of a courier")
}
