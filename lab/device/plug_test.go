//go:build lab

package device_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/lab/device/usbip"
)

func sdCard(ctx context.Context, t *testing.T, d *device.Device) {
	image := filepath.Join(t.TempDir(), "card.img")
	if err := os.WriteFile(image, append([]byte("linekeeper"), make([]byte, 4<<20-10)...), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.PlugSDCard(ctx, image); err != nil {
			t.Fatal(err)
		}
		if said, err := d.Poll(ctx, "head -c 10 /dev/mmcblk?"); err != nil || said != "linekeeper" {
			t.Errorf("on the card: %q, %v", said, err)
		}
		if err := d.PullSDCard(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Poll(ctx, "! test -e /dev/mmcblk?"); err != nil {
			t.Error(err)
		}
	}
}

func hook(ctx context.Context, t *testing.T, d *device.Device) {
	for _, tt := range []struct {
		name       string
		kind, code uint16
	}{{"KEY_PHONE", 1, 169}, {"SW_HEADPHONE_INSERT", 5, 2}} {
		key, err := d.HookKey(ctx, tt.name)
		if err != nil {
			t.Fatal(err)
		}
		// Four events: pressed, the end of the report, released, the end of the report.
		events := make(chan string, 1)
		go func() {
			said, err := d.Run(ctx, "head", "-c", "96", key.Node)
			events <- said + fmt.Sprint(err)
		}()
		if _, err := d.Poll(ctx, "ls -l /proc/[0-9]*/fd | grep -q "+key.Node+"$"); err != nil {
			t.Fatal(err)
		}
		for _, press := range []func(context.Context) error{key.Press, key.Release} {
			if err := press(ctx); err != nil {
				t.Error(err)
			}
		}
		got := []byte(<-events)
		for i, value := range []uint32{1, 0} {
			if len(got) < 96 {
				t.Fatalf("%s: events: %q", tt.name, got)
			}
			e := got[48*i+16:]
			if kind, code, v := binary.LittleEndian.Uint16(e), binary.LittleEndian.Uint16(e[2:]), binary.LittleEndian.Uint32(e[4:]); kind != tt.kind || code != tt.code || v != value {
				t.Errorf("%s: event %d of type %d, code %d, value %d", tt.name, i, kind, code, v)
			}
		}
	}
	if _, err := d.HookKey(ctx, "KEY_POWER"); err == nil {
		t.Error("a handset can switch the device off")
	}
}

// usbSound is two equal cards that are told apart by their ports: each hears what is played into it, to the sample.
func usbSound(ctx context.Context, t *testing.T, d *device.Device) {
	kind := usbip.Kind{Rate: 16000, Channels: 1}
	plug := func(port int) device.USBCard {
		card, err := d.PlugUSBCard(ctx, port, kind)
		if err != nil {
			t.Fatal(err)
		}
		return card
	}
	pull := func(port int) {
		if err := d.PullUSBCard(ctx, port); err != nil {
			t.Fatal(err)
		}
	}
	for _, first := range []int{1, 2} { // whichever is found first
		cards := map[int]device.USBCard{first: plug(first), 3 - first: plug(3 - first)}
		if cards[1].Path() == cards[2].Path() || cards[first].Index >= cards[3-first].Index {
			t.Errorf("port %d first: %+v", first, cards)
		}
		for port, card := range cards {
			hearTone(ctx, t, d, card, port*1000)
		}
		pull(1)
		pull(2)
	}
	plug(1)
	if _, err := d.PlugUSBCard(ctx, 1, kind); err == nil {
		t.Error("two cards are in one port")
	}
	if err := d.SetUSBFault(ctx, 1, usbip.Hanging); err != nil {
		t.Error(err)
	}
	out, err := d.Exec(ctx, "timeout", "20", "arecord", "-q", "-D", "hw:CARD=Default", "-f", "S16_LE", "-r", "16000", "-d", "1", "/dev/null")
	if err != nil || out.Code != 1 || !strings.Contains(out.Stderr, "Input/output error") {
		t.Errorf("from a card that hangs: %+v, %v", out, err)
	}
	pull(1)
}

// hearTone plays steps of a height into a card's port and records them.
func hearTone(ctx context.Context, t *testing.T, d *device.Device, card device.USBCard, height int) {
	t.Helper()
	want := make([]int16, 16000)
	for i := range want {
		want[i] = int16(height + i%500)
	}
	file := fmt.Sprintf("/run/heard-%d.raw", card.Port)
	recording, stop := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() {
		_, err := d.Run(recording, "arecord", "-q", "-D", fmt.Sprintf("hw:%d", card.Index), "-t", "raw", "-f", "S16_LE", "-r", "16000", "-c", "1",
			"--buffer-time=3000000", file) // of an emulated board that has other work
		stopped <- err
	}()
	defer func() {
		stop()
		<-stopped
		_, _ = d.Poll(ctx, "! pgrep arecord && rm -f "+file)
	}()
	if _, err := d.Poll(ctx, "test -s "+file); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := d.PlayUSB(ctx, card.Port, device.Sound{Rate: 16000, Channels: 1, Samples: want}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < time.Second {
		t.Errorf("a second was played in %v", took)
	}
	var whole bytes.Buffer
	_ = binary.Write(&whole, binary.LittleEndian, want)
	for begin = time.Now(); ; {
		heard, err := d.ReadFile(ctx, file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(heard, whole.Bytes()) {
			return
		}
		if time.Since(begin) > 20*time.Second {
			t.Errorf("port %d does not hear what is played into it, to the sample", card.Port)
			return
		}
		<-time.After(300 * time.Millisecond)
	}
}
