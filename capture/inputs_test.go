package capture

import (
	"io/fs"
	"reflect"
	"testing"
	"testing/fstest"
)

// procAsound is /proc/asound of a machine with an onboard card, a USB stick in use, and a card that only plays.
var procAsound = map[string]string{
	"cards": ` 0 [PCH            ]: HDA-Intel - HDA Intel PCH
                      HDA Intel PCH at 0xf7f10000 irq 30
 1 [Device         ]: USB-Audio - USB Audio Device
                      C-Media Electronics Inc. USB Audio Device at usb-0000:00:14.0-2, full speed
 2 [HDMI           ]: HDA-Intel - HDA ATI HDMI
                      HDA ATI HDMI at 0xfea60000 irq 31
`,
	"pcm": `00-00: ALC887-VD Analog : ALC887-VD Analog : playback 1 : capture 1
00-02: ALC887-VD Alt Analog : ALC887-VD Alt Analog : capture 1
01-00: USB Audio : USB Audio : playback 1 : capture 1
02-03: HDMI 0 : HDMI 0 : playback 1
07-00: USB Audio : USB Audio : capture 1
`,
	"card0/pcm0c/sub0/status":    "state: RUNNING\nowner_pid   : 4711\n",
	"card0/pcm0c/sub0/hw_params": "access: RW_INTERLEAVED\nformat: S16_LE\nsubformat: STD\nchannels: 2\nrate: 44100 (44100/1)\nperiod_size: 8820\n",
	"card0/pcm2c/sub0/status":    "closed\n",
	"card0/pcm2c/sub0/hw_params": "closed\n",
	"card1/pcm0c/sub0/status":    "closed\n",
	"card1/pcm0c/sub0/hw_params": "closed\n",
	"card1/stream0": `C-Media Electronics Inc. USB Audio Device at usb-0000:00:14.0-2, full speed : USB Audio

Playback:
  Status: Stop
  Interface 1
    Altset 1
    Format: S16_LE
    Channels: 2
    Endpoint: 0x01 (1 OUT) (ADAPTIVE)
    Rates: 96000

Capture:
  Status: Stop
  Interface 2
    Altset 1
    Format: S16_LE
    Channels: 1
    Endpoint: 0x82 (2 IN) (ASYNC)
    Rates: 48000, 44100
    Bits: 16
`,
}

func TestInputs(t *testing.T) {
	proc := fstest.MapFS{}
	for name, text := range procAsound {
		proc[name] = &fstest.MapFile{Data: []byte(text)}
	}
	sys := fstest.MapFS{"class/sound/card1": {Mode: fs.ModeSymlink, Data: []byte("../../devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/sound/card1")}}
	got, err := inputs(proc, sys)
	if err != nil {
		t.Fatal(err)
	}
	want := []Input{
		{Device: "plughw:CARD=PCH,DEV=0", Card: "PCH", Description: "ALC887-VD Analog, HDA Intel PCH at 0xf7f10000 irq 30", InUse: true, Rates: []int{44100}, Channels: 2},
		{Device: "plughw:CARD=PCH,DEV=2", Card: "PCH", Description: "ALC887-VD Alt Analog, HDA Intel PCH at 0xf7f10000 irq 30"},
		{Device: "plughw:CARD=Device,DEV=0", Card: "Device", Description: "USB Audio, C-Media Electronics Inc. USB Audio Device at usb-0000:00:14.0-2, full speed", Port: "usbe23b_2", Rates: []int{44100, 48000}, Channels: 1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestInputsWithoutSoundCards(t *testing.T) {
	for name, proc := range map[string]fstest.MapFS{
		"no driver": {},
		"no card":   {"cards": {Data: []byte("--- no soundcards ---\n")}, "pcm": {}},
		"no pcm":    {"cards": {Data: []byte("--- no soundcards ---\n")}},
		"nonsense":  {"cards": {Data: []byte("\x00 0 [\n0 []: \n 99999999999999999999 [x]: y\n")}, "pcm": {Data: []byte("00-00\n: :\n")}},
	} {
		if got, err := inputs(proc, fstest.MapFS{}); err != nil || len(got) != 0 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
