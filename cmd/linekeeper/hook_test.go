package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/gpio/handset"
	"github.com/linekeeper/linekeeper/line"
	"github.com/linekeeper/linekeeper/pcm"
)

func TestHookPlaces(t *testing.T) {
	const named, other = "plughw:CARD=usbe23b_1_2,DEV=0", "plughw:CARD=Device,DEV=0"
	for _, tt := range []struct {
		line lineConfig
		want hookPlace
		err  string
	}{
		{lineConfig{Device: named}, hookPlace{}, ""},
		{lineConfig{Hook: "GPIO5"}, hookPlace{pin: "GPIO5"}, ""},
		{lineConfig{Hook: "!gpiochip0:5"}, hookPlace{pin: "!gpiochip0:5"}, ""},
		{lineConfig{Hook: "usbe23b_2"}, hookPlace{handset: handset.Place{Port: "usbe23b_2"}}, ""},
		{lineConfig{Hook: "usb0a1b_2_3_4", Device: named}, hookPlace{handset: handset.Place{Port: "usb0a1b_2_3_4"}}, ""},
		{lineConfig{Hook: "input: Wall phone"}, hookPlace{handset: handset.Place{Name: "Wall phone"}}, ""},
		{lineConfig{Hook: "auto", Device: named}, hookPlace{handset: handset.Place{Port: "usbe23b_1_2"}}, ""},
		{lineConfig{Hook: "auto", Device: other, Port: "usb21f3_1"}, hookPlace{handset: handset.Place{Port: "usb21f3_1"}}, ""},
		{lineConfig{Hook: "auto", Device: other}, hookPlace{}, "not named after its port"},
		{lineConfig{Hook: "usb1_2"}, hookPlace{}, "is no USB port"},
		{lineConfig{Hook: "usb1"}, hookPlace{}, "is no USB port"},
		{lineConfig{Hook: "input:"}, hookPlace{}, "names no input device"},
	} {
		got, err := tt.line.hookPlace()
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%+v: %+v, %v", tt.line, got, err)
		}
	}
}

func TestHooksAreChecked(t *testing.T) {
	text := ""
	for i, hook := range []string{"GPIO5", "!GPIO5", "usbe23b_1_2", "auto", "usb2", ""} {
		text += fmt.Sprintf("[[line]]\nname = %q\ndevice = \"hw:CARD=usbe23b_1_2,DEV=%d\"\nhook = %q\n", fmt.Sprint("line ", i), i, hook)
	}
	code, _, errs := linekeeper(t, "check-config", settingsFile(t, text))
	for _, want := range []string{
		`:8: key "line.hook": "!GPIO5" is the hook of line "line 0" already`, `:16: key "line.hook": "auto" is the hook of line "line 2" already`,
		`:20: key "line.hook": "usb2" is no USB port`,
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("missing %s", want)
		}
	}
	if code != 2 || strings.Count(errs, "line.hook") != 3 {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// TestHookOnTheTimeline: a change stands where the line was at its time, whenever it is told.
func TestHookOnTheTimeline(t *testing.T) {
	const boot = 1000 * time.Second // of position 0
	format := pcm.Format{Rate: 8000, Channels: 2}
	var h hook
	var told []string
	feed := func(position, lost int64, frames int, late time.Duration) {
		p := pcm.Period{Format: format, Position: position, LostFrames: lost, Samples: make([]int16, frames*2)}
		p.At = boot + format.Duration(position+int64(frames)) + late
		for _, m := range h.Feed(p) {
			if m.Kind != call.MarkHook {
				t.Errorf("a mark of %s", m.Kind)
			}
			told = append(told, fmt.Sprint(m.Value, " ", m.Position))
		}
		told = append(told, "|")
	}
	h.set(true, boot-time.Minute) // before anything was heard
	h.set(false, boot+50*time.Millisecond)
	h.set(true, boot+250*time.Millisecond) // of a period to come
	feed(0, 0, 1600, 0)
	feed(1600, 0, 1600, 0)
	feed(3200, 0, 1600, 0)
	h.set(false, boot+300*time.Millisecond) // told late: a contact takes its time to settle
	feed(4800, 0, 1600, 0)
	h.set(true, boot+10*time.Second)
	h.set(false, boot+11*time.Second)
	feed(96000, 89600, 0, 0) // the card is away
	h.set(true, boot+12050*time.Millisecond)
	h.set(false, boot+12060*time.Millisecond)
	feed(96000, 0, 1600, 90*time.Millisecond) // the period is late, the changes were not
	h.set(true, boot+12500*time.Millisecond)
	feed(97600, 0, 2000, 250*time.Millisecond) // it has come, what belongs to that time has not
	feed(99600, 0, 1600, 0)
	want := []string{
		line.OffHook + " 0", line.OnHook + " 400", "|", line.OffHook + " 2000", "|", "|", line.OnHook + " 2400", "|",
		line.OffHook + " 80000", line.OnHook + " 88000", "|", line.OffHook + " 96400", line.OnHook + " 96480", "|",
		"|", line.OffHook + " 100000", "|",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q\nwant %q", told, want)
	}
}

// TestHookThatNeverRests: what a broken contact tells is bounded, and its last state right.
func TestHookThatNeverRests(t *testing.T) {
	for _, count := range []int{1001, 1002} {
		var h hook
		for i := range count {
			h.set(i%2 == 0, time.Duration(i)*time.Microsecond)
		}
		marks := h.Feed(pcm.Period{Format: pcm.Format{Rate: 8000, Channels: 1}, Position: 8000, At: time.Second})
		if len(marks) == 0 || len(marks) > mostEdges {
			t.Fatalf("%d marks of %d changes", len(marks), count)
		}
		before := ""
		for _, m := range marks {
			if m.Value == before {
				t.Errorf("twice %s", m.Value)
			}
			before = m.Value
		}
		if want := map[int]string{1: line.OffHook, 0: line.OnHook}[count%2]; before != want {
			t.Errorf("%d changes end with %s, want %s", count, before, want)
		}
	}
}

// TestHookThatIsNotThereIsAnAlarm: its line may miss calls.
func TestHookThatIsNotThereIsAnAlarm(t *testing.T) {
	there := false
	d := device{hooks: map[string]*hook{"contact": {}, "handset": {present: func() bool { return there }}}}
	d.cfg.Lines = []lineConfig{{Name: "none"}, {Name: "no pin", Hook: "GPIO99"}, {Name: "not needed", Hook: hookAuto}, {Name: "contact", Hook: "GPIO5"}, {Name: "handset", Hook: "usbe23b_1_2"}}
	for line, want := range map[string]string{"none": "", "no pin": "GPIO99, cannot be had", "not needed": "", "contact": "", "handset": "usbe23b_1_2, is away"} {
		if got := d.hookAlarm(line)(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	there = true
	if got := d.hookAlarm("handset")(); got != "" {
		t.Errorf("a handset that is there: %q", got)
	}
}

// TestHookAndAClockThatDrifts: a sound card whose clock runs slow or fast takes the hook's place on the timeline along.
func TestHookAndAClockThatDrifts(t *testing.T) {
	format := pcm.Format{Rate: 8000, Channels: 1}
	for _, drift := range []float64{-200e-6, 200e-6} {
		var h hook
		samples, told, want := make([]int16, 1600), 0, int64(0)
		for i := range int64(24 * 3600 * 5) { // a day
			end := time.Duration(float64(i+1) * float64(200*time.Millisecond) * (1 + drift))
			if i%1000 == 999 {
				h.set(i%2000 == 999, end+50*time.Millisecond)
				want = (i+1)*1600 + 400
			}
			p := pcm.Period{Format: format, Position: i * 1600, Samples: samples, At: end}
			if i%17 != 0 {
				p.At += 150 * time.Millisecond // most periods come late
			}
			for _, m := range h.Feed(p) {
				told++
				if off := m.Position - want; off < -20 || off > 20 { // 2.5 ms
					t.Fatalf("%v after the beginning, drift %g: %d frames off", p.At, drift, off)
				}
			}
		}
		if told != 431 { // the last one's audio is still to come
			t.Errorf("%d marks", told)
		}
	}
}
