package station

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Broker is an MQTT broker beside headquarters.
type Broker struct {
	Address string // host:port
}

// Headquarters is a headquarters in a folder of its own, on loopback.
type Headquarters struct {
	Program  string // bin/linekeeper-hq
	Dir      string
	Config   string
	User     string
	Password string

	Env []string // for `serve`, beside what there is

	Web, Recorders, MQTT string // host:port
	broker               *Broker
}

// NewHeadquarters makes, or finds again, a headquarters in dir: settings, a user, addresses. The addresses asked for are
// taken where they are free, others where not; empty ones are free ones. With an external broker, headquarters is its
// client.
func NewHeadquarters(program, dir string, web, recorders, mqtt string, broker *Broker) (*Headquarters, error) {
	h := &Headquarters{Program: program, Dir: dir, Config: filepath.Join(dir, "linekeeper-hq.toml"), User: "demo", broker: broker}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	for _, a := range []struct {
		wish string
		get  *string
	}{{web, &h.Web}, {recorders, &h.Recorders}, {mqtt, &h.MQTT}} {
		if *a.get, err = FreeAddress(a.wish); err != nil {
			return nil, err
		}
	}
	text := fmt.Sprintf("data = %q\nnames = [\"localhost\", \"127.0.0.1\"]\n\n[listen]\nweb = %q\nrecorders = %q\n", dir, h.Web, h.Recorders)
	if broker == nil {
		text += fmt.Sprintf("mqtt = %q\n", h.MQTT)
	} else {
		h.MQTT = broker.Address
		text += fmt.Sprintf("mqtt = \"\"\n\n[broker]\nurl = \"mqtts://%s\"\n", broker.Address)
	}
	if err := os.WriteFile(h.Config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return h, h.makeUser()
}

// makeUser makes the user on the first time, and keeps the password beside the settings for those who start it again.
func (h *Headquarters) makeUser() error {
	file := filepath.Join(h.Dir, "password")
	if text, err := os.ReadFile(file); err == nil {
		h.Password = strings.TrimSpace(string(text))
		return nil
	}
	raw := make([]byte, 8)
	_, _ = rand.Read(raw)
	h.Password = hex.EncodeToString(raw)
	if _, err := h.command(h.Password+"\n", "user", "add", h.User, "--admin", "--password-stdin"); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(h.Password+"\n"), 0o600)
}

// Command runs one of headquarters' commands to its end and gives what it printed.
func (h *Headquarters) Command(args ...string) (string, error) { return h.command("", args...) }

func (h *Headquarters) command(input string, args ...string) (string, error) {
	cmd := exec.Command(h.Program, append(args, "--config", h.Config)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), fmt.Errorf("%s %s: %w: %s%s", filepath.Base(h.Program), strings.Join(args, " "), err, exit.Stderr, out)
	}
	return string(out), err
}

// Start starts `serve` and waits until it listens.
func (h *Headquarters) Start(ctx context.Context, seen func(Event)) (*Process, error) {
	p, err := Start("headquarters", filepath.Join(h.Dir, "log"), h.Env, seen, h.Program, "serve", "--config", h.Config, "--log", "json")
	if err != nil {
		return nil, err
	}
	if _, err := p.Await(ctx, 1, Message("ready")); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// URL is the address of the web pages.
func (h *Headquarters) URL() string { return "https://" + h.Web + "/" }

// FreeAddress is the wish, if nobody listens there, or a free port of loopback. It is below those that the kernel gives to
// outgoing connections: nothing that connects meanwhile takes it, also while what listens there is restarted.
func FreeAddress(wish string) (string, error) {
	const from, to, tries = 10_000, 32_000, 100
	address := wish
	for n := 0; ; n++ {
		if address != "" {
			l, err := net.Listen("tcp", address)
			if err == nil {
				return address, l.Close()
			}
			if n == tries {
				return "", err
			}
		}
		address = fmt.Sprintf("127.0.0.1:%d", from+mathrand.IntN(to-from))
	}
}
