//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
)

// stockServer starts a tus server of somebody else's that keeps files in a folder, and gives the address at which it makes
// uploads.
type stockServer func(t *testing.T, folder, key, cert string) (address string)

// TestStockReceivers: a recorder whose settings name a stock tus server delivers its calls and entries there, sealed and
// signed as ever, and says that the receipts are weaker.
func TestStockReceivers(t *testing.T) {
	for name, server := range map[string]stockServer{"tusd": tusd, "@tus/server": tusServer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			plan := phone.PlanOptions{Calls: 1, Shortest: 6 * time.Second, Longest: 8 * time.Second, Pause: 6 * time.Second}
			_, settings := oneLine(t, dir, plan, call.Opus)
			head := headquarters(t, dir, nil) // for the identity and the certificate; it does not run
			tls := filepath.Join(dir, "tls")
			must(head.Command("certificate", "--name", "127.0.0.1", "--out", tls))(t)
			uploads := filepath.Join(dir, "uploads")
			if err := os.Mkdir(uploads, 0o700); err != nil {
				t.Fatal(err)
			}
			address := server(t, uploads, filepath.Join(tls, "server.key"), filepath.Join(tls, "server.crt"))
			settings.Extra = fmt.Sprintf("[uplink]\nreceiver = \"tus\"\nhttps = %q\n", address)
			office := recorder(t, dir, head, settings)

			running := start(t, office.Start)
			began := await(t, running, 1, "call began", 60*time.Second)[0]
			hold(t, office, began.Text("call")) // else it is gone as soon as it is released
			ended := await(t, running, 1, "call ended", 60*time.Second)[0]
			await(t, running, 1, "delivered", 30*time.Second)
			weak := await(t, running, 1, "a call is released on a receipt that nobody signed", time.Second)[0]
			if !strings.HasPrefix(weak.Text("receipt"), "tus: ") {
				t.Errorf("the log says %q", weak.Text("receipt"))
			}
			if out := must(office.Command("calls"))(t); !strings.Contains(out, "delivered, weaker receipt: tus: ") {
				t.Errorf("`linekeeper calls` says:\n%s", out)
			}
			if out := must(office.Command("status"))(t); !strings.Contains(out, "weaker receipts") {
				t.Errorf("`linekeeper status` says:\n%s", out)
			}
			if err := running.Stop(); err != nil {
				t.Error(err)
			}
			lookThrough(t, uploads, ended.Text("sha256"))
		})
	}
}

// hold puts a call on hold that has just begun: as soon as it stands in the ring.
func hold(t *testing.T, office *station.Recorder, id string) {
	t.Helper()
	for ctx := within(t, 10*time.Second); ; waitFor(t, 100*time.Millisecond) {
		out, err := office.Command("hold", id, "--why", "a look at its receipt")
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("hold: %v: %s", err, out)
		}
	}
}

// lookThrough finds the call's bytes, once, and signed entries among what the server keeps.
func lookThrough(t *testing.T, uploads, sum string) {
	t.Helper()
	calls, entries := 0, 0
	err := filepath.WalkDir(uploads, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if got := sha256.Sum256(b); hex.EncodeToString(got[:]) == sum {
			calls++
		}
		if bytes.HasPrefix(b, []byte("eyJ")) && bytes.Count(b, []byte(".")) == 2*bytes.Count(b, []byte("\n")) {
			entries += bytes.Count(b, []byte("\n"))
		}
		return err
	})
	if err != nil || calls != 1 || entries < 3 { // of the epoch, the call's beginning and its end
		t.Errorf("the server has the call %d times, and %d entries (%v)", calls, entries, err)
	}
}

// tusd is the program of the tus project, built from its Go module.
func tusd(t *testing.T, folder, key, cert string) string {
	t.Helper()
	address := must(station.FreeAddress(""))(t)
	_, port, _ := strings.Cut(address, ":")
	p := must(station.Start("tusd", filepath.Join(filepath.Dir(folder), "tusd.log"), nil, nil, filepath.Join(root(t), ".cache/bin/tusd"),
		"-host", "127.0.0.1", "-port", port, "-upload-dir", folder, "-tls-certificate", cert, "-tls-key", key, "-tls-mode", "tls13"))(t)
	t.Cleanup(p.Kill)
	listening(t, address)
	return "https://" + address + "/files/"
}

// tusServer is @tus/server, from npm.
func tusServer(t *testing.T, folder, key, cert string) string {
	t.Helper()
	cmd := exec.Command("node", filepath.Join(root(t), "lab/receivers/server.mjs"), folder, key, cert)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatalf("@tus/server did not start: %v", err)
	}
	return strings.TrimSpace(string(line[:n]))
}

// listening waits until a server takes connections.
func listening(t *testing.T, address string) {
	t.Helper()
	for ctx := within(t, 20*time.Second); ; waitFor(t, 50*time.Millisecond) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// takeOut reads a call's file out of a recorder's ring.
func takeOut(t *testing.T, office *station.Recorder, id call.ID) []byte {
	t.Helper()
	ring, _, err := buffer.Open(buffer.Options{
		Dir: filepath.Join(office.Dir, "ring"), SizeBytes: 64 << 20, Header: seal.ParseHeader, Entry: ledger.Parse,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	r := must(ring.ReadCall(id))(t)
	defer r.Close()
	return must(io.ReadAll(r))(t)
}

// TestStockClient: tus-js-client, with a recorder's certificate, uploads a call file to headquarters in the middle of which
// it is cut, looks the upload up, goes on where it was, and gets the receipt.
func TestStockClient(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	plan := phone.PlanOptions{Calls: 1, Shortest: 10 * time.Second, Longest: 12 * time.Second, Pause: 6 * time.Second}
	_, settings := oneLine(t, dir, plan, call.FLAC, "mqtt")
	head := headquarters(t, dir, nil)
	// A recorder that reaches nobody records a call, and hands over its file.
	nobody := *head
	nobody.MQTT = must(station.FreeAddress(""))(t)
	office := recorder(t, dir, &nobody, settings)
	running := start(t, office.Start)
	ended := await(t, running, 1, "call ended", 60*time.Second)[0]
	id := must(call.ParseID(ended.Text("call")))(t)
	if err := running.Stop(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "call.lkc")
	b := takeOut(t, office, id)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}

	start(t, head.Start)
	cut := len(b) / 2
	out, err := exec.Command("node", filepath.Join(root(t), "lab/receivers/client.mjs"), "https://"+head.Recorders+"/v1/calls/",
		filepath.Join(office.Dir, "identity"), file, id.String(), ended.Text("sha256"), strconv.Itoa(cut)).CombinedOutput()
	if err != nil {
		t.Fatalf("tus-js-client: %v\n%s", err, out)
	}
	var said struct {
		Receipt         string
		ResumedAt, Size int
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("tus-js-client said %s", out)
	}
	if said.Receipt == "" || said.ResumedAt <= 0 || said.ResumedAt >= said.Size {
		t.Errorf("it went on at %d of %d bytes, with the receipt %q", said.ResumedAt, said.Size, said.Receipt)
	}
	if found := calls(t, head); len(found) != 1 || found[0].Stage != hq.StageDurable || !bytes.Equal(callFile(t, head, id), b) {
		t.Errorf("at headquarters: %+v", found)
	}
}
