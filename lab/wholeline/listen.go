package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/wholeline/scene"
	"github.com/linekeeper/linekeeper/line"
	"github.com/linekeeper/linekeeper/line/callerid"
	"github.com/linekeeper/linekeeper/line/dtmf"
	"github.com/linekeeper/linekeeper/line/tone"
	"github.com/linekeeper/linekeeper/pcm"
)

// found is a call that the recorder would have recorded, its parts joined.
type found struct {
	begin, end   int64 // frames
	began, ended call.Reason
	short        bool // kept out of lists
	marks        []call.Mark
}

// missed is a call that it says nobody answered.
type missed struct {
	at    int64
	rings int
}

// heard is all that it makes of a line.
type heard struct {
	calls  []found
	missed []missed
}

// ear is the recorder's, for lines of any country.
type ear struct{ tones tone.Table }

func newEar() (*ear, error) {
	tones, err := tone.BuiltIn()
	return &ear{tones}, err
}

// contact is a hook contact that tells what the scene says.
type contact struct{ moves []scene.Move }

func (c *contact) Feed(p pcm.Period) (marks []call.Mark) {
	end := p.Position + int64(p.Frames())
	for len(c.moves) > 0 && c.moves[0].At <= end {
		value := line.OnHook
		if c.moves[0].OffHook {
			value = line.OffHook
		}
		marks = append(marks, call.Mark{Kind: call.MarkHook, Position: c.moves[0].At, Value: value})
		c.moves = c.moves[1:]
	}
	return marks
}

// listen is what the recorder makes of a line, in periods of 100 ms.
func (e *ear) listen(l scene.Line) (h heard, err error) {
	f := pcm.Format{Rate: scene.Rate, Channels: l.Channels}
	cfg := line.DefaultConfig()
	cfg.Detectors = line.Detectors{
		Tones:    tone.NewDetector(e.tones[l.Country], f),
		Digits:   dtmf.NewDetector(f),
		CallerID: callerid.NewDetector(f),
	}
	if l.Contact {
		cfg.Detectors.Hook = &contact{l.Moves}
	}
	ln := line.New(cfg, f)
	period := int(f.Frames(100*time.Millisecond)) * l.Channels
	for at := 0; at < len(l.Samples); at += period {
		p := pcm.Period{Format: f, Position: int64(at / l.Channels), Samples: l.Samples[at:min(len(l.Samples), at+period)]}
		for _, event := range ln.Feed(p) {
			if err := h.take(event); err != nil {
				return h, err
			}
		}
	}
	if n := len(h.calls); n > 0 && h.calls[n-1].end < 0 {
		h.calls[n-1].end = l.Frames()
	}
	return h, nil
}

func (h *heard) take(e call.Event) error {
	n := len(h.calls)
	open := n > 0 && h.calls[n-1].end < 0
	switch e.Kind {
	case call.EventBegan:
		if open {
			return fmt.Errorf("a call begins at frame %d while one goes on since frame %d", e.Position, h.calls[n-1].begin)
		}
		if e.Reason == call.BeganContinued {
			h.calls[n-1].end = -1
			return nil
		}
		h.calls = append(h.calls, found{begin: e.Position, end: -1, began: e.Reason})
	case call.EventMark:
		if !open {
			return fmt.Errorf("a mark at frame %d while there is no call", e.Position)
		}
		h.calls[n-1].marks = append(h.calls[n-1].marks, e.Mark)
	case call.EventEnded:
		if !open {
			return fmt.Errorf("a call ends at frame %d that never began", e.Position)
		}
		h.calls[n-1].end, h.calls[n-1].ended, h.calls[n-1].short = e.Position, e.Reason, e.Short
	case call.EventMissed:
		h.missed = append(h.missed, missed{e.Position, e.Missed.Rings})
	}
	return nil
}

// number is that of a caller ID mark: the caller's, of a message that is not damaged.
func number(m call.Mark) string {
	var message callerid.Message
	if m.Kind != call.MarkCallerID || json.Unmarshal([]byte(m.Value), &message) != nil || !message.Intact {
		return ""
	}
	return message.Number
}
