package station

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Mosquitto is Debian's broker beside a headquarters, with certificates of its authority.
type Mosquitto struct{ dir string }

// NewMosquitto writes its settings to dir, to listen on an address of loopback.
func NewMosquitto(dir string, head *Headquarters, address string) (*Mosquitto, error) {
	tls := filepath.Join(dir, "tls")
	if _, err := head.Command("certificate", "--name", "127.0.0.1", "--out", tls); err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(address, ":")
	text := fmt.Sprintf(`listener %s 127.0.0.1
cafile %[2]s/hq-ca.crt
certfile %[2]s/server.crt
keyfile %[2]s/server.key
require_certificate true
use_identity_as_username true
user root
allow_anonymous false
max_inflight_messages 0
`, port, tls)
	m := &Mosquitto{dir: dir}
	return m, os.WriteFile(m.file("conf"), []byte(text), 0o600)
}

func (m *Mosquitto) file(suffix string) string { return filepath.Join(m.dir, "mosquitto."+suffix) }

// Start starts the broker and waits until it listens.
func (m *Mosquitto) Start(ctx context.Context) (*Process, error) {
	p, err := Start("mosquitto", m.file("log"), nil, nil, "/usr/sbin/mosquitto", "-v", "-c", m.file("conf"))
	if err != nil {
		return nil, err
	}
	if _, err := p.Await(ctx, 1, func(e Event) bool { return strings.HasSuffix(e.Message, "running") }); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}
