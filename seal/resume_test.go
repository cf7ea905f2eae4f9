package seal_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
)

// TestRetract: what was not stored leaves no trace.
func TestRetract(t *testing.T) {
	w, first, err := seal.NewWriter(header)
	if err != nil {
		t.Fatal(err)
	}
	w.Retract() // the header stays
	file := first.Data
	for _, media := range []string{"", "lost", "stored", "lost again"} {
		rec, err := w.Chunk(0, 0, []byte(media))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(media, "lost") {
			w.Retract()
			w.Retract() // the one before stays
			continue
		}
		file = append(file, rec.Data...)
	}
	if _, err := w.End(call.End{Reason: call.EndedSilence}); err != nil {
		t.Fatal(err)
	}
	w.Retract()
	rec, err := w.End(call.End{Reason: call.EndedRingFull})
	if err != nil {
		t.Fatal(err)
	}
	c, err := seal.Verify(bytes.NewReader(append(file, rec.Data...)))
	if err != nil || c.SHA256 != w.SHA256() || c.Size != w.Size() || c.Records != 4 || c.End.Reason != call.EndedRingFull {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestResume cuts a call after each record, ends it, and finds the file whole.
func TestResume(t *testing.T) {
	records, whole := example(t)
	for n := 1; n <= len(records); n++ {
		stored := join(records[:n])
		w, end, ended, err := seal.ResumeWriter(bytes.NewReader(stored))
		if err != nil || w.Size() != int64(len(stored)) || ended != (n == len(records)) {
			t.Fatalf("%d records: ended %v, %v", n, ended, err)
		}
		if ended {
			if w.SHA256() != whole.SHA256() || end.Records != 7 || end.Reason != call.EndedSilence {
				t.Errorf("whole: %s, %+v", w.SHA256(), end)
			}
			continue
		}
		wantFrames := []int64{0, 0, 0, 8000, 8000, 8000, 8200}[n]
		var wantGaps []call.Gap
		if n >= 5 {
			wantGaps = []call.Gap{gap}
		}
		if end.Frames != wantFrames || len(end.Gaps) != len(wantGaps) || n >= 5 && end.Gaps[0] != gap {
			t.Errorf("%d records: %+v", n, end)
		}
		if _, err := w.Chunk(0, 1, nil); err == nil {
			t.Error("a resumed call took a chunk")
		}
		if _, err := w.Mark(mark); err == nil {
			t.Error("a resumed call took a mark")
		}
		end.Reason, end.Recovered = call.EndedPowerLost, true
		rec, err := w.End(end)
		if err != nil || rec.Call != header.Call {
			t.Fatal(rec.Call, err)
		}
		c, err := seal.Verify(bytes.NewReader(append(stored, rec.Data...)))
		if err != nil || c.SHA256 != w.SHA256() || c.Size != w.Size() || !c.End.Recovered {
			t.Errorf("%d records: %+v, %v", n, c, err)
		}
	}
}

func TestResumeClipsGaps(t *testing.T) {
	w, first, _ := seal.NewWriter(header)
	file := first.Data
	for _, g := range []call.Gap{{Position: 10, Frames: 5}, {Position: 95, Frames: 50}, {Position: 200, Frames: 1}} {
		rec, err := w.Mark(call.Mark{Kind: call.MarkGap, Position: g.Position, Frames: g.Frames, Value: "overrun"})
		if err != nil {
			t.Fatal(err)
		}
		file = append(file, rec.Data...)
	}
	rec, _ := w.Chunk(0, 100, nil)
	file = append(file, rec.Data...)
	_, end, _, err := seal.ResumeWriter(bytes.NewReader(file))
	want := []call.Gap{{Position: 10, Frames: 5, Cause: "overrun"}, {Position: 95, Frames: 5, Cause: "overrun"}}
	if err != nil || !reflect.DeepEqual(end.Gaps, want) {
		t.Errorf("%+v, %v", end.Gaps, err)
	}
}

func TestResumeDamaged(t *testing.T) {
	records, _ := example(t)
	file := join(records[:4])
	for name, stored := range map[string][]byte{
		"empty": nil,
		"torn":  file[:len(file)-1],
		"noise": append(bytes.Clone(file), make([]byte, 30)...),
	} {
		if _, _, _, err := seal.ResumeWriter(bytes.NewReader(stored)); err == nil {
			t.Errorf("%s was resumed", name)
		}
	}
	hole := append(join(records[:2]), join(records[3:5])...)
	w, end, _, err := seal.ResumeWriter(bytes.NewReader(hole))
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := w.End(end); err != nil || rec.Number != 5 {
		t.Errorf("end after a hole: number %d, %v", rec.Number, err)
	}
}
