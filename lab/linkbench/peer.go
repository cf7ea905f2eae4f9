package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/linekeeper/linekeeper/lab/badlink"
)

// peer is a way to deliver a file.
type peer interface {
	name() string
	// prepare makes what a run needs, in its folder.
	prepare(r *run) error
	// serve gives the receiver's programs. They are started before the sender, and again after the receiver was killed.
	serve(r *run) []*exec.Cmd
	// send gives the sender's program. Where it fails it is started again.
	send(r *run) *exec.Cmd
	// stored is how many bytes of the file the receiver has written down so far; -1: that does not show.
	stored(r *run) int64
	// check looks whether the receiver has the file, once the sender believes so.
	check(r *run) error
}

// other is one of the others: programs of Debian that send a file into a folder.
type other struct {
	called   string
	settings func(r *run) (file, text string) // of the server; nil: it has none
	server   func(r *run) [][]string
	client   func(r *run) []string
	hidden   bool // stored does not show
}

func (o other) name() string { return o.called }

func (o other) prepare(r *run) error {
	for _, dir := range []string{"received", "temp"} {
		if err := os.MkdirAll(r.path(dir), 0o755); err != nil {
			return err
		}
	}
	if o.settings == nil {
		return nil
	}
	file, text := o.settings(r)
	return os.WriteFile(r.path(file), []byte(text), 0o644)
}

func (o other) serve(r *run) (all []*exec.Cmd) {
	for _, words := range o.server(r) {
		all = append(all, exec.Command(words[0], words[1:]...))
	}
	return all
}

func (o other) send(r *run) *exec.Cmd {
	words := o.client(r)
	return exec.Command(words[0], words[1:]...)
}

func (o other) stored(r *run) int64 {
	if o.hidden {
		return -1
	}
	return largest(r.path("received"), r.path("temp"))
}

func (o other) check(r *run) error {
	want, err := os.ReadFile(r.file())
	if err != nil {
		return err
	}
	var got []byte
	err = r.await(context.Background(), 20*time.Second, func() bool { // what hands it on at the far end is another program
		got, _ = os.ReadFile(r.path("received", "call"))
		return bytes.Equal(got, want)
	})
	if err != nil {
		return fmt.Errorf("%s believes to have delivered, and %d bytes are there that are not the file's %d", o.called, len(got), len(want))
	}
	return nil
}

// largest is the size of the largest file in some folders and those below.
func largest(dirs ...string) (most int64) {
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
			if err != nil {
				return nil // missing, or gone meanwhile: nothing
			}
			if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
				most = max(most, info.Size())
			}
			return nil
		})
	}
	return most
}

// others are beside us. Of what could be set, that which a careful administrator would set for such a link is set.
func (b *bench) others() []peer {
	cert, key, ssh := b.template.certificate, b.template.certificateKey, b.template.sshKey
	const tlsAt = badlink.FarAddress + ":9443"
	return []peer{
		other{ // over SFTP, which lets it go on where it was; over HTTP -C - begins anew, and nginx refuses it
			called: "curl",
			settings: func(r *run) (string, string) {
				return "sshd_config", fmt.Sprintf("ListenAddress %s:2222\nHostKey %s\nAuthorizedKeysFile %s.pub\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"+
					"ClientAliveInterval 60\nSubsystem sftp internal-sftp\n", badlink.FarAddress, ssh, ssh)
			},
			server: func(r *run) [][]string {
				return [][]string{{"/usr/sbin/sshd", "-D", "-e", "-f", r.path("sshd_config")}}
			},
			client: func(r *run) []string {
				return []string{"curl", "-sS", "-k", "--connect-timeout", "60", "--speed-limit", "1", "--speed-time", "60", "--key", ssh, "--pubkey", ssh + ".pub",
					"-u", "root:", "-T", r.file(), "-C", "-", "sftp://" + badlink.FarAddress + ":2222" + r.path("received", "call")}
			},
		},
		other{
			called: "rsync",
			settings: func(r *run) (string, string) {
				return "rsyncd.conf", fmt.Sprintf("use chroot = no\nuid = 0\ngid = 0\nlog file = %s\n[calls]\npath = %s\nread only = no\n", r.path("rsyncd.log"), r.path("received"))
			},
			server: func(r *run) [][]string {
				return [][]string{{"rsync", "--daemon", "--no-detach", "--address=" + badlink.FarAddress, "--port=8730", "--config=" + r.path("rsyncd.conf")}}
			},
			client: func(r *run) []string {
				return []string{"rsync", "--partial", "--append-verify", "--timeout=60", "--contimeout=60", r.file(), "rsync://" + badlink.FarAddress + ":8730/calls/call"}
			},
		},
		other{
			called: "rclone",
			server: func(r *run) [][]string {
				return [][]string{{"rclone", "--config=", "serve", "webdav", "--addr", tlsAt, "--cert", cert, "--key", key, r.path("received")}}
			},
			client: func(r *run) []string {
				return []string{"rclone", "--config=", "--ca-cert", cert, "--contimeout", "60s", "--timeout", "60s", "--retries", "1",
					"--webdav-url", "https://" + tlsAt, "copyto", r.file(), ":webdav:call"}
			},
		},
		other{
			called: "mosquitto_pub", hidden: true,
			settings: func(r *run) (string, string) {
				return "mosquitto.conf", fmt.Sprintf("user root\nallow_anonymous true\nlistener 1883 127.0.0.1\nlistener 9443 %s\ncertfile %s\nkeyfile %s\n", badlink.FarAddress, cert, key)
			},
			server: func(r *run) [][]string {
				// The file gets its name when it is whole.
				take := "until mosquitto_sub -h 127.0.0.1 -i hq -c -q 1 -t call -C 1 -N >received/part && [ -s received/part ]; do sleep 0.1; done; mv received/part received/call"
				return [][]string{{"mosquitto", "-c", r.path("mosquitto.conf")}, {"sh", "-c", "cd " + filepath.Dir(r.path("received")) + "; " + take}}
			},
			client: func(r *run) []string {
				return []string{"mosquitto_pub", "-h", badlink.FarAddress, "-p", "9443", "--cafile", cert, "-i", "recorder", "-k", "60", "-q", "1", "-t", "call", "-f", r.file()}
			},
		},
	}
}
