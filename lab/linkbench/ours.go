package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/linekeeper/linekeeper/lab/badlink"
)

// ringBytes is the smallest ring that a recorder takes.
const ringBytes = 64 << 20

// ours is the recorder's own program, which delivers from its ring over one protocol to headquarters' own.
type ours struct {
	bin      string
	protocol string // https, mqtt
	calls    int    // in the ring
}

func (o ours) name() string { return o.protocol }

func (o ours) prepare(r *run) error {
	ring, err := r.template.backlog(o.calls, r.Size)
	if err != nil {
		return err
	}
	for from, to := range map[string]string{
		filepath.Join(r.template.dir, "hq"):       "hq",
		filepath.Join(r.template.dir, "identity"): "recorder/identity",
		ring: "recorder",
	} {
		if err := copyTree(from, r.path(to)); err != nil {
			return err
		}
	}
	recorder := r.path("recorder")
	settings := fmt.Sprintf("data = %q\ncontrol = %q\n\n[ring]\nsize = \"%dMiB\"\n\n[uplink]\norder = [%q]\nhttps = \"https://%s:8444\"\nmqtt = \"mqtts://%s:8883\"\n\n"+
		"[[line]]\nname = \"front desk\"\ndevice = \"none\"\n", recorder, filepath.Join(recorder, "control.sock"), ringBytes>>20, o.protocol, badlink.FarAddress, badlink.FarAddress)
	return errors.Join(os.WriteFile(r.path("recorder.toml"), []byte(settings), 0o600), os.WriteFile(r.path("hq.toml"), []byte(hqSettings(r.path("hq"))), 0o600))
}

func (o ours) serve(r *run) []*exec.Cmd {
	return []*exec.Cmd{exec.Command(filepath.Join(o.bin, "linekeeper-hq"), "serve", "--config", r.path("hq.toml"), "--log", "json")}
}

func (o ours) send(r *run) *exec.Cmd {
	return exec.Command(filepath.Join(o.bin, "linekeeper"), "run", "--config", r.path("recorder.toml"), "--log", "json")
}

func (o ours) stored(r *run) int64 {
	if r.heard("call arrived") > 0 {
		return int64(r.Size)
	}
	// A call file differs from the size by some bytes.
	return largest(r.path("hq", "spool", "tus"), r.path("hq", "spool", "mqtt")) + 100
}

// check believes the recorder: it has a receipt.
func (o ours) check(r *run) error {
	if r.heard("call arrived") == 0 {
		return errors.New("the recorder has a receipt for a call of which headquarters has not said that it arrived")
	}
	return nil
}

// copyTree copies a folder.
func copyTree(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	out, err := exec.Command("cp", "-r", "--sparse=always", from+"/.", to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy %s: %w: %s", from, err, strings.TrimSpace(string(out)))
	}
	return nil
}
