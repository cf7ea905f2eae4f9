package main

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/cmd/internal/settings"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/usbport"
)

// defaultConfig is where the recorder's settings stand.
const defaultConfig = "/etc/linekeeper/linekeeper.toml"

// config is the recorder's settings file. docs/operator-guide.md has a line for each key.
type config struct {
	Data    string        `toml:"data"`    // folder of identity, ring and index
	Control string        `toml:"control"` // socket of `linekeeper status` and its like
	Ring    ringConfig    `toml:"ring"`
	Capture captureConfig `toml:"capture"`
	Calls   callsConfig   `toml:"calls"`
	Detect  detectConfig  `toml:"detect"`
	Alarms  alarmsConfig  `toml:"alarms"`
	Seal    sealConfig    `toml:"seal"`
	Encoder encoderConfig `toml:"encoder"`
	Lines   []lineConfig  `toml:"line"`
	Uplink  uplinkConfig  `toml:"uplink"`
	Light   lightConfig   `toml:"light"`
	Pause   pauseConfig   `toml:"pause"`
	Service serviceConfig `toml:"service"`

	file string
}

type ringConfig struct {
	Size         ringSize          `toml:"size"`
	SyncInterval settings.Duration `toml:"sync_interval"`
	WhenFull     string            `toml:"when_full"` // stop, overwrite
}

type captureConfig struct {
	LineRate int               `toml:"line_rate"` // Hz
	Period   settings.Duration `toml:"period"`
	Buffer   settings.Duration `toml:"buffer"`
	Watchdog settings.Duration `toml:"watchdog"`
}

type callsConfig struct {
	PreRoll  settings.Duration `toml:"pre_roll"`
	HangOver settings.Duration `toml:"hang_over"`
	PutBack  settings.Duration `toml:"put_back"`
	Tail     settings.Duration `toml:"tail"`
	Shortest settings.Duration `toml:"shortest"`
	Longest  settings.Duration `toml:"longest"`
}

type sealConfig struct {
	Clear bool `toml:"clear"` // calls are not sealed: whoever takes the card can hear them
}

type encoderConfig struct {
	Codec         string `toml:"codec"`
	BitsPerSecond int    `toml:"bits_per_second"` // a side
	Complexity    int    `toml:"complexity"`
}

type lineConfig struct {
	Name     string   `toml:"name"`
	Device   string   `toml:"device"`
	Port     string   `toml:"port"`     // USB port that the card must be in, such as usbe23b_1_2; empty: as the device's name says
	Channels []int    `toml:"channels"` // of the card, from 0
	Sides    []string `toml:"sides"`    // what two channels are: agent, caller
	Country  string   `toml:"country"`  // whose exchange's tones are heard, two letters; empty: none
	Hook     string   `toml:"hook"`     // how it is known that the handset is lifted; see hookPlace
}

type uplinkConfig struct {
	Order    []string          `toml:"order"`
	Priority []uplink.Priority `toml:"priority"` // the sorts of calls that go first
	HTTPS    string            `toml:"https"`
	MQTT     string            `toml:"mqtt"`
	Policy   policyConfig      `toml:"policy"`
	Receiver string            `toml:"receiver"` // who is there: receiverHeadquarters, receiverTus, receiverEMQX
}

// Who receives. Of those that are not headquarters a weaker receipt is taken, which nobody signs.
const (
	receiverHeadquarters = "headquarters"
	receiverTus          = "tus"
	receiverEMQX         = "emqx"
)

type lightConfig struct {
	Pin    string `toml:"pin"`    // one light for everything
	Record string `toml:"record"` // or three
	Link   string `toml:"link"`
	Fault  string `toml:"fault"`
}

type pauseConfig struct {
	Button  string            `toml:"button"`  // pin of a button that pauses all calls, and goes on
	Longest settings.Duration `toml:"longest"` // a pause that is forgotten is over then
}

type serviceConfig struct {
	Button string `toml:"button"` // pin of a button: pressed, it starts a self-test; held while the power comes, it resets
}

func newConfig() config {
	return config{
		Data:    "/var/lib/linekeeper",
		Control: "/run/linekeeper/control.sock",
		Ring:    ringConfig{Size: autoSize, SyncInterval: settings.Duration(time.Second), WhenFull: "stop"},
		Capture: captureConfig{
			LineRate: 8000,
			Period:   settings.Duration(200 * time.Millisecond),
			Buffer:   settings.Duration(2 * time.Second),
			Watchdog: settings.Duration(time.Second),
		},
		Calls: callsConfig{
			PreRoll:  settings.Duration(2 * time.Second),
			HangOver: settings.Duration(150 * time.Second),
			PutBack:  settings.Duration(15 * time.Second),
			Tail:     settings.Duration(time.Second),
			Shortest: settings.Duration(3 * time.Second),
			Longest:  settings.Duration(2 * time.Hour),
		},
		Detect: defaultDetect(),
		Alarms: alarmsConfig{
			OffHook: settings.Duration(15 * time.Minute),
			Days:    []string{"mon", "tue", "wed", "thu", "fri"},
			Hours:   []string{"08:00", "17:00"},
			Zone:    "Local",
		},
		Encoder: encoderConfig{Codec: "opus", Complexity: 5},
		Uplink:  uplinkConfig{Receiver: receiverHeadquarters, Order: []string{"https", "mqtt"}, Priority: uplink.DefaultPriority(), Policy: policyConfig{Zone: "Local"}},
		Pause:   pauseConfig{Longest: settings.Duration(10 * time.Minute)},
	}
}

// loadConfig reads and checks the settings: those of the file, or, where it leaves that open, of a bundle.
func loadConfig(file string) (config, error) {
	c, err := loadMachine(file)
	if err != nil || !c.isBare() {
		return c, err
	}
	return c.provisioned()
}

// loadMachine reads and checks a settings file.
func loadMachine(file string) (config, error) {
	c := newConfig()
	c.file = file
	if err := settings.Load(file, &c); err != nil {
		return config{}, err
	}
	return c, c.check()
}

func (c *config) wrong(key string, index int, format string, args ...any) error {
	return settings.Wrong(c.file, key, index, format, args...)
}

// check finds every value that cannot work.
func (c *config) check() error {
	var all []error
	bad := func(key string, format string, args ...any) { all = append(all, c.wrong(key, 0, format, args...)) }
	oneOf := func(key, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			reason := fmt.Sprintf("%q is not one of: %s", value, strings.Join(allowed, ", "))
			if near := settings.Nearest(value, allowed); near != "" {
				reason += fmt.Sprintf("; did you mean %q?", near)
			}
			bad(key, "%s", reason)
		}
	}
	within := func(key string, value, least, most settings.Duration) {
		if value < least || value > most {
			bad(key, "%v is outside %v to %v", time.Duration(value), time.Duration(least), time.Duration(most))
		}
	}
	second := settings.Duration(time.Second)
	oneOf("encoder.codec", c.Encoder.Codec, "opus", "mp3", "flac")
	oneOf("uplink.receiver", c.Uplink.Receiver, receiverHeadquarters, receiverTus, receiverEMQX)
	oneOf("ring.when_full", c.Ring.WhenFull, "stop", "overwrite")
	within("ring.sync_interval", c.Ring.SyncInterval, second/10, 60*second)
	within("capture.period", c.Capture.Period, second/100, second)
	within("capture.buffer", c.Capture.Buffer, second, 10*second)
	within("capture.watchdog", c.Capture.Watchdog, second/2, 60*second)
	within("calls.pre_roll", c.Calls.PreRoll, 0, 30*second)
	within("calls.hang_over", c.Calls.HangOver, second, 3600*second)
	within("calls.put_back", c.Calls.PutBack, second, 3600*second)
	within("calls.tail", c.Calls.Tail, 0, c.Calls.HangOver)
	within("calls.shortest", c.Calls.Shortest, 0, 60*second)
	within("alarms.off_hook", c.Alarms.OffHook, 0, 24*3600*second)
	within("alarms.quiet", c.Alarms.Quiet, 0, 31*24*3600*second)
	within("pause.longest", c.Pause.Longest, 10*second, 3600*second)
	within("calls.longest", c.Calls.Longest, 60*second, 24*3600*second)
	if s := c.Ring.Size; s != autoSize && (s < leastRing || s > mostRing) {
		bad("ring.size", "%d bytes is outside 64MiB to 1TiB", s)
	}
	if r := c.Capture.LineRate; r != 8000 && r != 16000 {
		bad("capture.line_rate", "%d is neither 8000 nor 16000", r)
	}
	if b := c.Encoder.BitsPerSecond; b != 0 && (b < 6000 || b > 320000) {
		bad("encoder.bits_per_second", "%d is outside 6000 to 320000", b)
	}
	if x := c.Encoder.Complexity; x < 0 || x > 10 {
		bad("encoder.complexity", "%d is outside 0 to 10", x)
	}
	all = append(all, c.checkLines()...)
	all = append(all, c.checkHooks()...)
	all = append(all, c.checkDetectors()...)
	all = append(all, c.checkUplink()...)
	return errors.Join(all...)
}

func (c *config) checkLines() []error {
	var all []error
	names := map[string]bool{}
	taken := map[string]bool{}
	for i, l := range c.Lines {
		bad := func(key, format string, args ...any) { all = append(all, c.wrong("line."+key, i, format, args...)) }
		if l.Name == "" || names[l.Name] || len(l.Name) > 64 {
			bad("name", "%q: each line needs a name of its own, of at most 64 bytes", l.Name)
		}
		names[l.Name] = true
		if l.Device == "" {
			bad("device", "missing: the ALSA device that hears the line; `linekeeper inputs` lists them")
		}
		if l.Port != "" && !usbport.Valid(l.Port) {
			bad("port", "%q is no USB port: controller, then port by port, such as \"usbe23b_1_2\"; `linekeeper inputs --json` has those of the cards there are", l.Port)
		}
		if len(l.Channels) > 2 || len(l.Sides) > 0 && len(l.Sides) != len(l.Channels) {
			bad("channels", "a line has one channel, or two with a name for each in sides")
		}
		for _, ch := range c.channels(i) {
			where := fmt.Sprintf("%s channel %d", l.Device, ch)
			if ch < 0 || ch > 31 || taken[where] {
				bad("channels", "%s is out of range, or another line's", where)
			}
			taken[where] = true
		}
	}
	return all
}

// channels of the i-th line: the first of the card where nothing is said.
func (c *config) channels(i int) []int {
	if len(c.Lines[i].Channels) == 0 {
		return []int{0}
	}
	return c.Lines[i].Channels
}

func (c *config) checkUplink() []error {
	var all []error
	for _, name := range c.Uplink.Order {
		if name != "https" && name != "mqtt" {
			all = append(all, c.wrong("uplink.order", 0, "%q is neither https nor mqtt", name))
		}
	}
	if _, err := c.linkPolicy(); err != nil {
		all = append(all, err)
	}
	if err := uplink.CheckPriority(c.Uplink.Priority); err != nil {
		all = append(all, c.wrong("uplink.priority", 0, "%v", err))
	}
	for _, address := range []struct{ key, value, scheme string }{{"https", c.Uplink.HTTPS, "https"}, {"mqtt", c.Uplink.MQTT, "mqtts"}} {
		u, err := url.Parse(address.value)
		if address.value != "" && (err != nil || u.Scheme != address.scheme || u.Host == "") {
			all = append(all, c.wrong("uplink."+address.key, 0, "%q is not an address such as %s://headquarters.example:%s",
				address.value, address.scheme, map[string]string{"https": "8444", "mqtts": "8883"}[address.scheme]))
		}
	}
	switch u := c.Uplink; {
	case u.Receiver == receiverTus && (u.HTTPS == "" || u.MQTT != ""):
		all = append(all, c.wrong("uplink.receiver", 0, "a tus server is reached by uplink.https, where it makes uploads, and not by uplink.mqtt"))
	case u.Receiver == receiverEMQX && (u.MQTT == "" || u.HTTPS != ""):
		all = append(all, c.wrong("uplink.receiver", 0, "an EMQX is reached by uplink.mqtt, and not by uplink.https"))
	}
	return all
}

// port is the USB port that the card of a device must be in; empty: wherever.
func (c *config) port(device string) string {
	for _, l := range c.Lines {
		if l.Device == device && l.Port != "" {
			return l.Port
		}
	}
	return ""
}

// hasUplink says whether there is anywhere to deliver to.
func (c *config) hasUplink() bool { return c.Uplink.HTTPS != "" || c.Uplink.MQTT != "" }

func (c *config) identityDir() string { return filepath.Join(c.Data, "identity") }
func (c *config) ringDir() string     { return filepath.Join(c.Data, "ring") }
func (c *config) indexFile() string   { return filepath.Join(c.Data, "index.db") }
