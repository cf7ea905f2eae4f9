package linesim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConfigNamesEachCardAndItsOptions(t *testing.T) {
	s := &Sim{dir: "/sim"}
	conf, err := s.config([]Card{
		{Name: "plain", File: "/a.raw", Rate: 8000, Channels: 1},
		{Name: "all", File: "/b c.raw", Rate: 48000, Channels: 2, PPM: -150, Loop: true, UnplugAt: 5, ReplugAt: 9, Control: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"</usr/share/alsa/alsa.conf>\n",
		`pcm_type.linesim { lib "/sim/libasound_module_pcm_linesim.so" }`,
		"pcm.plain {\n\ttype linesim\n\tfile \"/a.raw\"\n\trate 8000\n\tchannels 1\n\thint",
		"file \"/b c.raw\"\n\trate 48000\n\tchannels 2\n\tppm -150\n\tunplug_at 5\n\treplug_at 9\n\tloop 1\n\tcontrol \"/sim/all\"\n",
	} {
		if !strings.Contains(conf, want) {
			t.Errorf("no %q in\n%s", want, conf)
		}
	}
	for _, bad := range []Card{{File: "/a", Rate: 1, Channels: 1}, {Name: "a", Channels: 1}, {Name: "a", Rate: 1}, {Name: "a b", Rate: 1, Channels: 1}} {
		if _, err := s.config([]Card{bad}); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestControls(t *testing.T) {
	s := &Sim{dir: t.TempDir()}
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(s.dir, name))
		return err == nil
	}
	if err := s.Plug("card"); err != nil {
		t.Errorf("plugging in a card that is in: %v", err)
	}
	if err := s.Unplug("card"); err != nil || !exists("card.unplugged") {
		t.Errorf("unplug: %v", err)
	}
	if err := s.Plug("card"); err != nil || exists("card.unplugged") {
		t.Errorf("plug: %v", err)
	}
	if err := s.Stall("card", 1500*time.Millisecond); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(s.dir, "card.stall")); err != nil || string(text) != "1500" {
		t.Errorf("stall: %q, %v", text, err)
	}
}
