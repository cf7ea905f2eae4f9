package provision

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linekeeper/linekeeper/wire"
)

// Profiles are named linekeeper-KIND-NUMBER.nmconnection; NetworkManager passes over names that begin with a dot.
const (
	profileBegins = "linekeeper-"
	profileEnds   = ".nmconnection"
	unfinished    = "." + profileBegins
)

// Profiles gives NetworkManager's profile of each network, by the name of its file (nm-settings-keyfile(5)), and the country
// whose radio rules hold, empty where no network says it. wire.CheckNetworks has to have found them good.
func Profiles(networks []wire.Network) (profiles map[string]string, country string) {
	profiles = map[string]string{}
	for i, n := range networks {
		profiles[fmt.Sprintf("%s%s-%d%s", profileBegins, n.Kind, i+1, profileEnds)] = profile(n)
		country = max(country, n.Country)
	}
	return profiles, country
}

func profile(n wire.Network) string {
	var p strings.Builder
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&p, "%s=%s\n", key, value)
		}
	}
	section := func(name string) { fmt.Fprintf(&p, "\n[%s]\n", name) }
	p.WriteString("# Written by linekeeper from its bundle, and written again after each.\n[connection]\n")
	line("id", quoted(n.Name))
	switch n.Kind {
	case wire.NetworkWiFi:
		line("type", "wifi")
		section("wifi")
		line("ssid", decimals(n.Name))
		if n.Password != "" {
			section("wifi-security")
			line("key-mgmt", "wpa-psk")
			line("psk", quoted(n.Password))
		}
	case wire.NetworkMobile:
		line("type", "gsm")
		section("gsm")
		line("apn", n.Name)
		line("username", quoted(n.User))
		line("password", quoted(n.Password))
		line("pin", n.PIN)
	}
	return p.String()
}

// quoted is a text as a key file has it: spaces at its ends would be lost.
func quoted(s string) string { return strings.NewReplacer(`\`, `\\`, " ", `\s`).Replace(s) }

// decimals is a name byte by byte, as no name can be taken for another in: 1;2;3;
func decimals(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%d;", s[i])
	}
	return b.String()
}

// WriteProfiles brings a folder of NetworkManager's to hold these profiles of ours and no others; those of others stay. Each
// is written whole or not at all, for its owner alone; after a power cut in between it is done again at the next boot. It says
// whether anything was changed.
func WriteProfiles(dir string, profiles map[string]string) (changed bool, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, fmt.Errorf("list network profiles: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		_, wanted := profiles[name]
		ours := strings.HasPrefix(name, profileBegins) && strings.HasSuffix(name, profileEnds) || strings.HasPrefix(name, unfinished)
		if !ours || wanted {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return changed, fmt.Errorf("remove a network profile: %w", err)
		}
		changed = true
	}
	for _, name := range slices.Sorted(maps.Keys(profiles)) {
		wrote, err := writeProfile(dir, name, []byte(profiles[name]))
		if err != nil {
			return changed, fmt.Errorf("write network profile %s: %w", name, err)
		}
		changed = changed || wrote
	}
	if changed {
		err = syncFolder(dir)
	}
	return changed, err
}

func writeProfile(dir, name string, content []byte) (wrote bool, err error) {
	file := filepath.Join(dir, name)
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err == nil && bytes.Equal(old, content) {
		return false, os.Chmod(file, 0o600)
	}
	next := filepath.Join(dir, unfinished+strings.TrimPrefix(name, profileBegins))
	if err := writeFile(next, content); err != nil {
		return false, err
	}
	return true, os.Rename(next, file)
}
