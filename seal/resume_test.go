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
	w, first, err := seal.NewWriter(header, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Retract() // the header stays
	stored := first
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
		stored = append(stored, rec)
	}
	if _, err := w.End(call.End{Reason: call.EndedSilence}); err != nil {
		t.Fatal(err)
	}
	w.Retract()
	rec, err := w.End(call.End{Reason: call.EndedRingFull})
	if err != nil {
		t.Fatal(err)
	}
	c, err := seal.Verify(bytes.NewReader(join(append(stored, rec))), nil)
	if err != nil || c.SHA256 != w.SHA256() || c.Chain != w.Chain() || c.Size != w.Size() || c.Records != 4 ||
		c.End.Reason != call.EndedRingFull {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestResume cuts a call after each record, ends it without its key, and finds the file whole.
func TestResume(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		for n := 1; n <= len(e.records); n++ {
			stored := join(e.records[:n])
			w, end, ended, err := seal.ResumeWriter(bytes.NewReader(stored))
			if err != nil || w.Size() != int64(len(stored)) || ended != (n == len(e.records)) {
				t.Fatalf("%d records: ended %v, %v", n, ended, err)
			}
			if ended {
				if w.SHA256() != e.w.SHA256() || w.Chain() != e.w.Chain() || end.Records != uint32(n) || end.Reason != call.EndedSilence {
					t.Errorf("whole: %s, %+v", w.SHA256(), end)
				}
				continue
			}
			behind := max(0, n-e.at(0)) // records behind the first ones
			wantFrames := []int64{0, 0, 8000, 8000, 8000, 8200}[behind]
			var wantGaps []call.Gap
			if behind >= 4 {
				wantGaps = []call.Gap{gap}
			}
			if end.Frames != wantFrames || len(end.Gaps) != len(wantGaps) || behind >= 4 && end.Gaps[0] != gap {
				t.Errorf("%d records: %+v", n, end)
			}
			if _, err := w.Chunk(0, 1, nil); err == nil {
				t.Error("a resumed call took a chunk")
			}
			for _, m := range []call.Mark{mark, gapMark} {
				if _, err := w.Mark(m); err == nil {
					t.Error("a resumed call took a mark")
				}
			}
			end.Reason, end.Recovered = call.EndedPowerLost, true
			rec, err := w.End(end)
			if err != nil || rec.Call != header.Call {
				t.Fatal(rec.Call, err)
			}
			c, err := seal.Verify(bytes.NewReader(append(stored, rec.Data...)), e.keys)
			if err != nil || c.SHA256 != w.SHA256() || c.Chain != w.Chain() || c.Size != w.Size() || !c.End.Recovered {
				t.Errorf("%d records: %+v, %v", n, c, err)
			}
		}
	})
}

func TestResumeClipsGaps(t *testing.T) {
	w, records, _ := seal.NewWriter(header, nil)
	for _, g := range []call.Gap{{Position: 10, Frames: 5}, {Position: 95, Frames: 50}, {Position: 200, Frames: 1}} {
		rec, err := w.Mark(call.Mark{Kind: call.MarkGap, Position: g.Position, Frames: g.Frames, Value: "overrun"})
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rec)
	}
	rec, _ := w.Chunk(0, 100, nil)
	_, end, _, err := seal.ResumeWriter(bytes.NewReader(join(append(records, rec))))
	want := []call.Gap{{Position: 10, Frames: 5, Cause: "overrun"}, {Position: 95, Frames: 5, Cause: "overrun"}}
	if err != nil || !reflect.DeepEqual(end.Gaps, want) {
		t.Errorf("%+v, %v", end.Gaps, err)
	}
}

func TestResumeDamaged(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		file := join(e.records[:4])
		for name, stored := range map[string][]byte{
			"empty":     nil,
			"torn":      file[:len(file)-1],
			"noise":     append(bytes.Clone(file), make([]byte, 30)...),
			"backwards": append(bytes.Clone(file), e.records[3].Data...),
		} {
			if _, _, _, err := seal.ResumeWriter(bytes.NewReader(stored)); err == nil {
				t.Errorf("%s was resumed", name)
			}
		}
		missing := append(join(e.records[:e.at(1)]), join(e.records[e.at(2):e.at(5)])...)
		w, end, _, err := seal.ResumeWriter(bytes.NewReader(missing))
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := w.End(end); err != nil || rec.Number != uint32(e.at(5)) {
			t.Errorf("end after a missing record: number %d, %v", rec.Number, err)
		}
	})
}
