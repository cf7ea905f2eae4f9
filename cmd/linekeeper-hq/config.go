package main

import (
	"errors"
	"net"
	"net/url"
	"path/filepath"
	"time"

	"github.com/linekeeper/linekeeper/cmd/internal/settings"
	"github.com/linekeeper/linekeeper/hq/ingest"
)

// defaultConfig is where headquarters' settings stand.
const defaultConfig = "/etc/linekeeper-hq/linekeeper-hq.toml"

// config is headquarters' settings file. docs/operator-guide.md has a line for each key.
type config struct {
	Data     string        `toml:"data"`         // folder of authority, library and call files
	Names    []string      `toml:"names"`        // host names and addresses that its certificate is for
	TimeZone string        `toml:"time_zone"`    // in which the pages show times
	Largest  settings.Size `toml:"largest_call"` // bytes of a call file; a larger one is refused
	Listen   listenConfig  `toml:"listen"`
	Broker   brokerConfig  `toml:"broker"`

	file string
	zone *time.Location
}

type listenConfig struct {
	Web       string `toml:"web"`
	Recorders string `toml:"recorders"`
	MQTT      string `toml:"mqtt"` // of the embedded broker; empty: none
}

// brokerConfig is an MQTT broker beside headquarters, in place of the embedded one.
type brokerConfig struct {
	URL       string `toml:"url"`
	Authority string `toml:"authority"` // PEM file of who signed the broker's certificate; empty: our own authority
}

func loadConfig(file string) (config, error) {
	c := config{
		Data:     "/var/lib/linekeeper-hq",
		TimeZone: "Local",
		Largest:  ingest.DefaultMaxCall,
		Listen:   listenConfig{Web: ":8443", Recorders: ":8444", MQTT: ":8883"},
		file:     file,
	}
	if err := settings.Load(file, &c); err != nil {
		return config{}, err
	}
	return c, c.check()
}

// leastLargest is what the setting of the largest call may be at the least: a call of some seconds.
const leastLargest = 4 << 10

// check finds every value that cannot work.
func (c *config) check() error {
	var all []error
	bad := func(key, format string, args ...any) {
		all = append(all, settings.Wrong(c.file, key, 0, format, args...))
	}
	if len(c.Names) == 0 {
		bad("names", "missing: the host names or addresses by which recorders and browsers reach headquarters")
	}
	if c.Largest < leastLargest {
		bad("largest_call", "%d bytes refuse every call: want at least 4KiB", c.Largest)
	}
	var err error
	if c.zone, err = time.LoadLocation(c.TimeZone); err != nil {
		bad("time_zone", "%q is not a zone such as \"Africa/Maputo\", \"UTC\" or \"Local\"", c.TimeZone)
	}
	for key, address := range map[string]string{"listen.web": c.Listen.Web, "listen.recorders": c.Listen.Recorders, "listen.mqtt": c.Listen.MQTT} {
		if _, _, err := net.SplitHostPort(address); err != nil && (address != "" || key != "listen.mqtt") {
			bad(key, "%q is not an address such as \":8443\" or \"192.0.2.7:8443\"", address)
		}
	}
	if u, err := url.Parse(c.Broker.URL); c.Broker.URL != "" && (err != nil || u.Scheme != "mqtts" || u.Host == "") {
		bad("broker.url", "%q is not an address such as mqtts://broker.example:8883", c.Broker.URL)
	}
	return errors.Join(all...)
}

func (c *config) authorityDir() string { return filepath.Join(c.Data, "authority") }
func (c *config) libraryFile() string  { return filepath.Join(c.Data, "library.db") }
