package callerid

import (
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/signal"
	"github.com/linekeeper/linekeeper/line/dtmf"
	"github.com/linekeeper/linekeeper/pcm"
)

func TestKeyed(t *testing.T) {
	for _, tt := range []struct {
		name, keys string
		bare       bool
		want       []Message
	}{
		{"number", "A5550100C", false, []Message{{Number: "5550100"}}},
		{"number, ended otherwise", "A5550100#", false, []Message{{Number: "5550100"}}},
		{"all parts", "A5550100D042B00C", false, []Message{{Number: "5550100", Redirect: "042"}}},
		{"Taiwan, Kuwait", "D5550100C", false, []Message{{Number: "5550100"}}},
		{"not available", "B00C", false, []Message{{NoNumber: Unavailable}}},
		{"withheld", "AB10C", false, []Message{{NoNumber: Private}}},
		{"bare", "5550100#", true, []Message{{Number: "5550100"}}},
		{"bare, where none is sent", "5550100#", false, nil},
		{"too short to be one", "12#", true, nil},
		{"dialled before", "123A5550100C", false, []Message{{Number: "5550100"}}},
		{"begun twice", "A555A5550100C", false, []Message{{Number: "5550100"}}},
		{"two", "A1234C A5678C", false, []Message{{Number: "1234"}, {Number: "5678"}}},
		{"interrupted", "A555 0100C", false, nil},
		{"never ended", "A" + strings.Repeat("1", 100) + "C", false, nil},
		{"nothing said", "AC", false, nil},
		{"a star", "A12*34C", false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := Keyed{Bare: tt.bare}
			var got []string
			for i := range len(tt.keys) {
				if tt.keys[i] == ' ' {
					continue
				}
				position := int64(i) * 1000
				if strings.Contains(tt.keys[:i], " ") {
					position += 8000
				}
				if m, ok := k.Mark(call.Mark{Kind: call.MarkDigits, Position: position, Frames: 600, Value: tt.keys[i : i+1]}); ok {
					got = append(got, m.Value)
				}
			}
			var want []string
			for i, part := range strings.Fields(tt.keys) {
				if i < len(tt.want) {
					m := tt.want[i]
					m.Form, m.Intact = DTMF, true
					m.Raw = []byte(strings.TrimLeft(part, "0123456789"))
					if tt.bare {
						m.Raw = []byte(part)
					}
					if tt.name == "begun twice" {
						m.Raw = []byte(part[4:])
					}
					want = append(want, m.Value())
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("read %v, want %v", got, want)
			}
		})
	}
}

// TestKeyedOnALine: an exchange's digits, heard and read.
func TestKeyedOnALine(t *testing.T) {
	f := pcm.Format{Rate: 8000, Channels: 1}
	digits, k := dtmf.NewDetector(f), Keyed{}
	sound := signal.Join(g.Digits("A5550100D042B00C", 70*ms, 70*ms, signal.Shape{Level: -25}), g.Quiet(200*ms))
	var got []call.Mark
	for _, d := range digits.Feed(pcm.Period{Format: f, Position: 1000, Samples: signal.Samples(signal.AddNoise(sound, -45, 1))}) {
		if m, ok := k.Mark(d); ok {
			got = append(got, m)
		}
	}
	if len(got) != 1 || got[0].Kind != call.MarkCallerID || max(got[0].Position-1560, 1560-got[0].Position) > 40 ||
		!strings.Contains(got[0].Value, `"number":"5550100"`) || !strings.Contains(got[0].Value, `"redirect":"042"`) {
		t.Errorf("%v", got)
	}
}
