package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/wire"
)

// headquarters runs command lines on one data folder.
type headquarters struct {
	t      *testing.T
	config string
}

func newHeadquarters(t *testing.T) headquarters {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "linekeeper-hq.toml")
	if err := os.WriteFile(file, []byte("data = \""+filepath.Join(dir, "data")+"\"\nnames = [\"localhost\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return headquarters{t, file}
}

func (h headquarters) run(input string, args ...string) (code int, out, errs string) {
	h.t.Helper()
	root := newRoot()
	var stdout, stderr bytes.Buffer
	root.SetIn(strings.NewReader(input))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	code = command.Execute(context.Background(), root, append(args, "--config", h.config))
	return code, stdout.String(), stderr.String()
}

// well runs a command that is to succeed.
func (h headquarters) well(input string, args ...string) string {
	h.t.Helper()
	code, out, errs := h.run(input, args...)
	if code != 0 {
		h.t.Fatalf("%v: exit code %d: %s", args, code, errs)
	}
	return out
}

func TestUsers(t *testing.T) {
	h := newHeadquarters(t)
	h.well("a long password\n", "user", "add", "amina", "--password-stdin")
	h.well("another password\n", "user", "add", "amina", "--password-stdin")
	h.well("a long password\n", "user", "add", "bento", "--password-stdin")
	var users []struct{ Name string }
	if err := json.Unmarshal([]byte(h.well("", "user", "list", "--json")), &users); err != nil || len(users) != 2 || users[0].Name != "amina" {
		t.Errorf("users: %v, %v", users, err)
	}
	h.well("", "user", "remove", "bento")
	if out := h.well("", "user", "list"); strings.Contains(out, "bento") || !strings.Contains(out, "amina") {
		t.Errorf("after the removal: %s", out)
	}
	for _, c := range []struct {
		input string
		args  []string
		code  int
		want  string
	}{
		{"short\n", []string{"user", "add", "x", "--password-stdin"}, 2, "at least 8 characters"},
		{"", []string{"user", "add", "x"}, 2, "--password-stdin"},
		{"", []string{"user", "remove", "nobody"}, 1, "linekeeper-hq user list"},
		{"", []string{"user"}, 2, "needs a command"},
		{"", []string{"user", "lits"}, 2, `did you mean "list"?`},
	} {
		if code, _, errs := h.run(c.input, c.args...); code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit code %d, %q; want %d, %q", c.args, code, errs, c.code, c.want)
		}
	}
}

func TestRecorderGetsAnIdentity(t *testing.T) {
	h := newHeadquarters(t)
	dir := filepath.Join(t.TempDir(), "identity")
	said := h.well("", "recorder", "add", "--site", "Lichinga", "--out", dir)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "device.crt"), filepath.Join(dir, "device.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	authority, err := os.ReadFile(filepath.Join(dir, "hq-ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(authority) {
		t.Fatalf("authority: %v", err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	device := pair.Leaf.Subject.CommonName
	if !strings.Contains(said, device) {
		t.Errorf("it said %q, and the certificate is of %s", said, device)
	}
	for _, name := range []string{"device.key", "receipt.pub"} {
		if s, err := os.Stat(filepath.Join(dir, name)); err != nil || s.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, s, err)
		}
	}
	if out := h.well("", "recorder", "list"); !strings.Contains(out, device) || !strings.Contains(out, "Lichinga") || !strings.Contains(out, "never") {
		t.Errorf("recorders: %s", out)
	}
	var rows []struct{ Device, Site string }
	if err := json.Unmarshal([]byte(h.well("", "recorder", "list", "--json")), &rows); err != nil || len(rows) != 1 || rows[0].Device != device {
		t.Errorf("recorders: %v, %v", rows, err)
	}
	if code, _, errs := h.run("", "recorder", "add", "--site", "Lichinga", "--out", dir); code != 1 || !strings.Contains(errs, "exists") {
		t.Errorf("over an identity that is there: exit code %d, %s", code, errs)
	}
	if code, _, _ := h.run("", "recorder", "add", "--site", "Lichinga"); code != 2 {
		t.Errorf("without --out: exit code %d", code)
	}
}

func TestCertificateForABroker(t *testing.T) {
	h := newHeadquarters(t)
	dir := filepath.Join(t.TempDir(), "broker")
	h.well("", "certificate", "--name", "broker.example", "--name", "192.0.2.7", "--out", dir)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"broker.example", "192.0.2.7"} {
		if err := pair.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckConfig(t *testing.T) {
	for _, c := range []struct {
		name, text string
		code       int
		want       string
	}{
		{"well", "names = [\"hq.example\"]\n", 0, "is well: pages on :8443"},
		{"no names", "data = \"/x\"\n", 2, `key "names": missing`},
		{"unknown key", "names = [\"a\"]\n[listen]\nwebb = \":1\"\n", 2, `:3: unknown key "listen.webb"; did you mean "listen.web"?`},
		{"odd address", "names = [\"a\"]\n[listen]\nweb = \"8443\"\n", 2, `:3: key "listen.web": "8443" is not an address`},
		{"odd zone", "names = [\"a\"]\ntime_zone = \"Mars\"\n", 2, `:2: key "time_zone": "Mars" is not a zone`},
		{"odd broker", "names = [\"a\"]\n[broker]\nurl = \"tcp://b\"\n", 2, `:3: key "broker.url"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHeadquarters(t)
			file := filepath.Join(t.TempDir(), "x.toml")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, errs := h.run("", "check-config", file)
			if code != c.code || !strings.Contains(out+errs, c.want) {
				t.Errorf("exit code %d, %s%s; want %d, %s", code, out, errs, c.code, c.want)
			}
		})
	}
}

func TestBundle(t *testing.T) {
	h := newHeadquarters(t)
	dir := t.TempDir()
	settings := filepath.Join(dir, "recorder.toml")
	password := filepath.Join(dir, "password")
	for file, text := range map[string]string{settings: "[[line]]\nname = \"front desk\"\ndevice = \"x\"\n", password: "long enough\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said := h.well("", "bundle", "--site", "Lichinga", "--out", dir, "--settings", settings, "--wifi", "office", "--wifi-password-file", password, "--wifi-country", "MZ")
	jws, err := os.ReadFile(filepath.Join(dir, wire.BundleFile))
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire.VerifyBundle(nil, strings.TrimSpace(string(jws)))
	if err != nil {
		t.Fatal(err)
	}
	if b.Site != "Lichinga" || b.Enrol != "https://localhost:8444" || len(b.Networks) != 1 || b.Networks[0].Password != "long enough" || len(jws) > 4<<10 {
		t.Errorf("%d bytes: %+v; it said %q", len(jws), b, said)
	}
	if !strings.Contains(b.Settings, "front desk") || !strings.Contains(b.Settings, `mqtt = "mqtts://localhost:8883"`) {
		t.Errorf("settings: %s", b.Settings)
	}
	if strings.Contains(said, b.Token) || strings.Contains(said, "long enough") {
		t.Errorf("it said a secret: %q", said)
	}
	for _, args := range [][]string{{"--site", "x"}, {"--site", "x", "--out", dir, "--days", "0"}, {"--site", "x", "--out", dir, "--wifi", "a", "--wifi-country", "Mozambique"}, {"--site", "x", "--out", dir, "--mobile-apn", "inter net"}, {"--site", "x", "--out", dir, "--device", "../x"}} {
		if code, _, errs := h.run("", append([]string{"bundle"}, args...)...); code != 2 {
			t.Errorf("%v: exit code %d, %s", args, code, errs)
		}
	}
}
