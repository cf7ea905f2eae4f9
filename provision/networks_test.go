package provision_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/provision"
	"github.com/linekeeper/linekeeper/wire"
)

var office = wire.Network{Kind: wire.NetworkWiFi, Name: "1;2 é", Password: ` long\enough; `, Country: "MZ"}

func TestProfiles(t *testing.T) {
	got, country := provision.Profiles([]wire.Network{
		office,
		{Kind: wire.NetworkWiFi, Name: "open"},
		{Kind: wire.NetworkMobile, Name: "internet.example", User: "a b", Password: "secret", PIN: "0000"},
		{Kind: wire.NetworkMobile, Name: "internet"},
	})
	want := map[string]string{
		"linekeeper-wifi-1.nmconnection": `id=1;2\sé
type=wifi

[wifi]
ssid=49;59;50;32;195;169;

[wifi-security]
key-mgmt=wpa-psk
psk=\slong\\enough;\s
`,
		"linekeeper-wifi-2.nmconnection": `id=open
type=wifi

[wifi]
ssid=111;112;101;110;
`,
		"linekeeper-mobile-3.nmconnection": `id=internet.example
type=gsm

[gsm]
apn=internet.example
username=a\sb
password=secret
pin=0000
`,
		"linekeeper-mobile-4.nmconnection": `id=internet
type=gsm

[gsm]
apn=internet
`,
	}
	if len(got) != len(want) || country != "MZ" {
		t.Errorf("%d profiles, country %q", len(got), country)
	}
	for name, text := range want {
		if _, body, _ := strings.Cut(got[name], "[connection]\n"); body != text {
			t.Errorf("%s:\n%s\nwant\n%s", name, body, text)
		}
	}
}

// TestNetworksThatCannotBe are refused with the bundle, before anything is changed, and no secret is told.
func TestNetworksThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		networks []wire.Network
		want     string
	}{
		"the same twice":        {[]wire.Network{office, office}, "stands there twice"},
		"two countries":         {[]wire.Network{office, {Kind: wire.NetworkWiFi, Name: "other", Country: "ZA"}}, "one country"},
		"password not ASCII":    {[]wire.Network{{Kind: wire.NetworkWiFi, Name: "office", Password: "sécret sécret"}}, "not ASCII"},
		"access point name":     {[]wire.Network{{Kind: wire.NetworkMobile, Name: "inter net", Password: "secret"}}, "access point name"},
		"access point too long": {[]wire.Network{{Kind: wire.NetworkMobile, Name: strings.Repeat("a", 65)}}, "access point name"},
		"PIN":                   {[]wire.Network{{Kind: wire.NetworkMobile, Name: "internet", PIN: "123"}}, "4 digits"},
	} {
		t.Run(name, func(t *testing.T) {
			hq, r := newHeadquarters(t), newRecorder(t)
			_, err := provision.Judge(r.cfg, hq.bundle(func(b *wire.Bundle) { b.Networks = c.networks }))
			var refused *provision.RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "cret") || strings.Contains(err.Error(), "123") {
				t.Errorf("%v", err)
			}
			if len(r.state()) > 0 {
				t.Errorf("it has changed %v", r.state())
			}
		})
	}
}

func TestWriteProfiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(file("theirs.nmconnection"), []byte("theirs"), 0o600))
	must(t, os.WriteFile(file(".linekeeper-wifi-1.nmconnection"), []byte("of a power cut"), 0o600))
	write := func(change bool, networks ...wire.Network) {
		t.Helper()
		profiles, _ := provision.Profiles(networks)
		changed, err := provision.WriteProfiles(dir, profiles)
		if err != nil || changed != change {
			t.Errorf("changed %t, %v", changed, err)
		}
		entries, err := os.ReadDir(dir)
		must(t, err)
		if len(entries) != len(profiles)+1 {
			t.Errorf("%v", entries)
		}
		for name, text := range profiles {
			b, err := os.ReadFile(file(name))
			must(t, err)
			if s, err := os.Stat(file(name)); string(b) != text || err != nil || s.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s, %v, %v", name, b, s.Mode(), err)
			}
		}
	}
	mobile := wire.Network{Kind: wire.NetworkMobile, Name: "internet"}
	write(true, office, mobile)
	must(t, os.Chmod(file("linekeeper-wifi-1.nmconnection"), 0o644)) // which NetworkManager would not take
	write(false, office, mobile)
	changed := office
	changed.Password = "another one"
	write(true, changed)
	write(true)
	write(false)
	if b, err := os.ReadFile(file("theirs.nmconnection")); string(b) != "theirs" {
		t.Errorf("%s, %v", b, err)
	}
	if _, err := provision.WriteProfiles(file("missing"), nil); err == nil {
		t.Error("a folder that is missing is no error")
	}
}
