//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"net"
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
	"github.com/linekeeper/linekeeper/wire"
)

// failing runs a command of the recorder that is to fail, and gives its one line.
func failing(t *testing.T, r *station.Recorder, code int, args ...string) string {
	t.Helper()
	said, err := r.Command(args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Errorf("%v ended with %v, want exit code %d; it said: %s", args, err, code, said)
	}
	return oneLineOf(t, said)
}

func oneLineOf(t *testing.T, said string) string {
	t.Helper()
	said = strings.TrimSpace(said)
	if strings.Contains(said, "\n") || said == "" {
		t.Errorf("not one clear line, but:\n%s", said)
	}
	t.Log(said)
	return said
}

func contains(t *testing.T, said string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(said, part) {
			t.Errorf("%q does not say %q", said, part)
		}
	}
}

func TestWrongCodec(t *testing.T) {
	dir := folder(t)
	r := recorder(t, dir, nil, station.RecorderOptions{Codec: "opsu", Lines: []station.Line{{Name: "line 1", Device: "x"}}})
	contains(t, failing(t, r, 2, "run"), "linekeeper.toml:", `"encoder.codec"`, `did you mean "opus"?`)
	contains(t, failing(t, r, 2, "check-config", r.Config), `"encoder.codec"`)
}

func TestUnknownKey(t *testing.T) {
	dir := folder(t)
	r := recorder(t, dir, nil, station.RecorderOptions{Extra: "devise = \"x\"", Lines: []station.Line{{Name: "line 1", Device: "x"}}})
	contains(t, failing(t, r, 2, "run"), `unknown key "line.devise"; did you mean "line.device"?`)
}

func TestDamagedKey(t *testing.T) {
	dir := folder(t)
	head := headquarters(t, dir, nil)
	r := recorder(t, dir, head, station.RecorderOptions{Lines: []station.Line{{Name: "line 1", Device: "x"}}, Order: []string{"https"}})
	key := filepath.Join(r.Dir, "identity", "device.key")
	if err := os.WriteFile(key, []byte("-----BEGIN NOTHING"), 0o600); err != nil {
		t.Fatal(err)
	}
	contains(t, failing(t, r, 1, "run"), key, "damaged", "put back")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	contains(t, failing(t, r, 1, "run"), key, "linekeeper-hq recorder add")
	authority := filepath.Join(head.Dir, "authority", "ca.key")
	if err := os.WriteFile(authority, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := head.Command("serve")
	contains(t, err.Error(), authority, "exit status 1")
}

func TestPortInUse(t *testing.T) {
	dir := folder(t)
	head := headquarters(t, dir, nil)
	l := must(net.Listen("tcp", head.Web))(t)
	defer l.Close()
	_, err := head.Command("serve")
	contains(t, err.Error(), head.Web, "in use", "exit status 1")
}

// TestMissingCard: a recorder whose card is not there says so everywhere, goes on trying, and keeps serving its other
// line.
func TestMissingCard(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	_, settings := oneLine(t, dir, phone.PlanOptions{Calls: 1, Pause: 5 * time.Second}, call.Opus)
	settings.Lines = append(settings.Lines, station.Line{Name: "line 2", Device: "plughw:CARD=Gone,DEV=0"})
	office := recorder(t, dir, nil, settings)
	running := start(t, office.Start)
	await(t, running, 1, "call ended", 40*time.Second)
	var status struct {
		wire.Status
		Cards []struct{ Device, Error string }
	}
	said := must(office.Command("status", "--json"))(t)
	if err := json.Unmarshal([]byte(said), &status); err != nil {
		t.Fatalf("status said %s: %v", said, err)
	}
	if status.State != call.StateAlarm {
		t.Errorf("state is %s, want alarm", status.State)
	}
	contains(t, strings.Join(status.Reasons, "\n"), "plughw:CARD=Gone,DEV=0", "linekeeper inputs")
	contains(t, running.AllWords(), "plughw:CARD=Gone,DEV=0")
}

// smallDisk mounts a file system of so many bytes, and can make it larger.
func smallDisk(t *testing.T, dir string, size string) (grow func(size string)) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mounting a small file system is not allowed here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return func(size string) {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size="+size); err != nil {
			t.Error(err)
		}
	}
}

// TestFullDiskAtRecorder: no room for the ring is one clear line and a non-zero exit.
func TestFullDiskAtRecorder(t *testing.T) {
	dir := folder(t)
	smallDisk(t, filepath.Join(dir, "recorder"), "4m")
	r := recorder(t, dir, nil, station.RecorderOptions{Lines: []station.Line{{Name: "line 1", Device: "x"}}})
	contains(t, failing(t, r, 1, "run"), filepath.Join(r.Dir, "ring"), "room")
}

// TestFullDiskAtHeadquarters: headquarters without room takes nothing and promises nothing; the recorder waits, and
// delivers when there is room.
func TestFullDiskAtHeadquarters(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	grow := smallDisk(t, filepath.Join(dir, "hq"), "32m")
	_, settings := oneLine(t, dir, phone.PlanOptions{Calls: 1, Pause: 5 * time.Second}, call.Opus, "https")
	head := headquarters(t, dir, nil)
	office := recorder(t, dir, head, settings)
	server := start(t, head.Start)
	running := start(t, office.Start)
	await(t, running, 1, "call ended", 40*time.Second)
	await(t, server, 1, "recorders are told to wait", 40*time.Second)
	// It may have been told so in mid-call, before the end was said.
	found := calls(t, head)
	for begin := time.Now(); (len(found) != 1 || found[0].Stage == hq.StageBegan) && time.Since(begin) < 40*time.Second; found = calls(t, head) {
		waitFor(t, 100*time.Millisecond)
	}
	if len(found) != 1 || found[0].Stage != hq.StageEnded {
		t.Errorf("before there is room: %+v", found)
	}
	grow("1g")
	await(t, running, 1, "delivered", 90*time.Second)
	if found = calls(t, head); len(found) != 1 || found[0].Stage != hq.StageDurable {
		t.Errorf("with room: %+v", found)
	}
}
