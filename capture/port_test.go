package capture

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestUSBPortOfACard(t *testing.T) {
	sys := t.TempDir()
	class := filepath.Join(sys, "class", "sound")
	if err := os.MkdirAll(class, 0o755); err != nil {
		t.Fatal(err)
	}
	for card, to := range map[string]string{
		"card0": "../../devices/pci0000:00/0000:00:1b.0/sound/card0",
		"card1": "../../devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.2/1-1.2:1.0/sound/card1",
		"card2": "../../devices/platform/soc/fe980000.usb/usb3/3-1/3-1:1.1/sound/card2",
	} {
		if err := os.Symlink(to, filepath.Join(class, card)); err != nil {
			t.Fatal(err)
		}
	}
	for card, want := range map[int]string{-1: "", 0: "", 1: "usbe23b_1_2", 2: "usb21f3_1", 3: ""} {
		if got := usbPort(os.DirFS(sys), card); got != want {
			t.Errorf("card %d is in port %q, want %q", card, got, want)
		}
	}
}

func TestPortThatADeviceIsNamedAfter(t *testing.T) {
	for device, want := range map[string]string{
		"plughw:CARD=usbe23b_1_2,DEV=0": "usbe23b_1_2",
		"hw:CARD=usb21f3_1":             "usb21f3_1",
		"plughw:CARD=Device,DEV=0":      "",
		"plughw:CARD=usb1_1_2,DEV=0":    "",
		"plughw:CARD=usbe23b_1_x,DEV=0": "",
		"front_desk":                    "",
	} {
		if got := (Config{Device: device}).port(); got != want {
			t.Errorf("%s: port %q, want %q", device, got, want)
		}
	}
	if got := (Config{Device: "hw:CARD=usb21f3_1", Port: "usb21f3_2"}).port(); got != "usb21f3_2" {
		t.Errorf("the port that the configuration says is %q", got)
	}
}

// TestCardInTheWrongPortIsReportedAndNotRecorded: the lines of two equal cards that changed places would be exchanged.
func TestCardInTheWrongPortIsReportedAndNotRecorded(t *testing.T) {
	for name, cfg := range map[string]Config{
		"by name":          {Device: "plughw:CARD=usbe23b_1_2,DEV=0"},
		"by configuration": {Device: "plughw:CARD=Device,DEV=0", Port: "usbe23b_1_2"},
	} {
		t.Run(name, func(t *testing.T) {
			runFakeAs(t, &fakeCard{port: "usbe23b_1_3"}, cfg, func(f *fakeCard, c *Card, h *heard) {
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if s := c.Status(); s.Open || !strings.Contains(s.Err, "usbe23b_1_3") || !strings.Contains(s.Err, "usbe23b_1_2") || h.samples > 0 {
					t.Errorf("heard %d frames of the wrong card: %+v", h.samples, s)
				}
				f.set(func(f *fakeCard) { f.port = "usbe23b_1_2" })
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if s := c.Status(); !s.Open || s.Port != "usbe23b_1_2" || s.Moved != "" || s.Reopened != 0 {
					t.Errorf("%+v", s)
				}
				h.near("heard", int64(h.samples), 10*8000)
			})
		})
	}
}

func TestCardWithoutAPortWhereOneIsDemanded(t *testing.T) {
	runFakeAs(t, &fakeCard{}, Config{Device: "fake", Port: "usbe23b_1"}, func(_ *fakeCard, c *Card, _ *heard) {
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := c.Status(); s.Open || !strings.Contains(s.Err, "in no USB port") {
			t.Errorf("%+v", s)
		}
	})
	runFakeAs(t, &fakeCard{}, Config{Device: "hw:CARD=usbe23b_1"}, func(_ *fakeCard, c *Card, _ *heard) {
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := c.Status(); !s.Open { // somebody's own name for another card
			t.Errorf("%+v", s)
		}
	})
}

func TestCardThatComesBackInAnotherPortIsTold(t *testing.T) {
	runFake(t, &fakeCard{port: "usbe23b_1"}, func(f *fakeCard, c *Card, _ *heard) {
		for _, step := range []struct{ port, moved string }{{"usbe23b_1", ""}, {"usbe23b_2", "usbe23b_1"}, {"usbe23b_3", "usbe23b_1"}, {"usbe23b_1", ""}} {
			f.set(func(f *fakeCard) {
				if f.port != step.port {
					f.port = step.port
					close(f.current.gone)
				}
			})
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if s := c.Status(); !s.Open || s.Port != step.port || s.Moved != step.moved {
				t.Errorf("in port %s, moved from %q: %+v", step.port, step.moved, s)
			}
		}
	})
}
