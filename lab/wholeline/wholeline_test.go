package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/bench/figures"
	"github.com/linekeeper/linekeeper/lab/signal"
	"github.com/linekeeper/linekeeper/lab/wholeline/scene"
)

const second = scene.Rate

// talked is a call with words in some seconds.
func talked(kind scene.Kind, from, to int64) scene.Call {
	return scene.Call{Kind: kind, Begin: (from - 2) * second, OffHook: (from - 1) * second, FirstKey: -1, FirstWord: from * second, LastWord: to * second,
		OnHook: (to + 1) * second, End: (to + 1) * second}
}

func recorded(from, to int64) found {
	return found{begin: from * second, end: to * second, began: call.BeganDialTone, ended: call.EndedSilence}
}

// TestJudge: each way to be wrong is seen as what it is, and nothing else is.
func TestJudge(t *testing.T) {
	missedCall := scene.Call{Kind: scene.Missed, Begin: 50 * second, End: 60 * second, Rings: 3, OffHook: -1, FirstKey: -1, FirstWord: -1, LastWord: -1, OnHook: -1}
	digits := recorded(8, 21)
	digits.marks = []call.Mark{{Kind: call.MarkDigits, Position: 10 * second, Value: "7"}}
	number := recorded(8, 21)
	number.marks = []call.Mark{{Kind: call.MarkCallerID, Position: 9 * second, Value: `{"intact":true,"number":"123"}`}}
	damaged := recorded(8, 21)
	damaged.marks = []call.Mark{{Kind: call.MarkCallerID, Position: 9 * second, Value: `{"intact":false,"number":"123"}`}}
	one := []scene.Call{talked(scene.Outgoing, 10, 20)}
	two := append(one, talked(scene.Outgoing, 30, 40))
	for _, tt := range []struct {
		name  string
		calls []scene.Call
		heard heard
		want  []fault
	}{
		{"all is well", two, heard{calls: []found{recorded(8, 21), recorded(28, 41)}}, nil},
		{"lost", two, heard{calls: []found{recorded(8, 21)}}, []fault{lost}},
		{"split", one, heard{calls: []found{recorded(8, 12), recorded(18, 21)}}, []fault{split}},
		{"joined", two, heard{calls: []found{recorded(8, 41)}}, []fault{joined, joined}},
		{"start cut", one, heard{calls: []found{recorded(11, 21)}}, []fault{startCut}},
		{"end cut", one, heard{calls: []found{recorded(8, 19)}}, []fault{endCut}},
		{"one too many", one, heard{calls: []found{recorded(8, 21), recorded(45, 50)}}, []fault{falseCall}},
		{"a digit too many", one, heard{calls: []found{digits}}, []fault{digitsWrong}},
		{"a wrong number", one, heard{calls: []found{number}}, []fault{wrongNumber}},
		{"a damaged number is none", one, heard{calls: []found{damaged}}, nil},
		{"missed and told", []scene.Call{missedCall}, heard{missed: []missed{{50 * second, 3}}}, nil},
		{"missed and not told", []scene.Call{missedCall}, heard{}, []fault{missedLost}},
		{"missed, rings miscounted", []scene.Call{missedCall}, heard{missed: []missed{{50 * second, 2}}}, []fault{missedRings}},
		{"told as missed", one, heard{calls: []found{recorded(8, 21)}, missed: []missed{{10 * second, 2}}}, []fault{missedFalse}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := scene.Line{Country: "us", Tap: scene.LineTap, Channels: 1, Samples: make([]int16, 70*second), Calls: tt.calls}
			s := judge(1, 0, l, tt.heard)
			var got []fault
			for _, f := range s.failures {
				got = append(got, f.fault)
				if text := f.String(); !strings.Contains(text, "-replay 1") || strings.Contains(text, "%!") {
					t.Errorf("%s", text)
				}
			}
			if len(got) != len(tt.want) {
				t.Fatalf("%v, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("%v, want %v", got, tt.want)
				}
			}
			if text := figures.Markdown(s.rows()); strings.Contains(text, "%!") || strings.Contains(text, "NaN") {
				t.Error(text)
			}
		})
	}
}

// TestWholeLines: a few lines that have a hook contact, heard as the recorder hears them: every call is found, in one
// piece, with its first word.
func TestWholeLines(t *testing.T) {
	e, err := newEar()
	if err != nil {
		t.Fatal(err)
	}
	total, heardOf := newScore(), 0
	for seed := uint64(0); heardOf < 2; seed++ {
		lines := scene.Brief(seed, scene.Synthetic{}).Lines
		if len(lines) > 1 || !lines[0].Contact {
			continue
		}
		heardOf++
		h, err := e.listen(lines[0])
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(h.calls, func(f found) bool { return f.ended == call.EndedOnHook }) {
			t.Errorf("seed %d: no call ended on-hook: %s", seed, describe(h.calls))
		}
		total.add(judge(seed, 0, lines[0], h))
	}
	if total.calls < 2 || total.whole != total.calls {
		t.Errorf("%d of %d calls whole:\n%s", total.whole, total.calls, list(total.failures))
	}
}

// TestSpeechIsNoSignal: nothing is heard in a piece of synthetic speech, but a digit is that is keyed before it.
func TestSpeechIsNoSignal(t *testing.T) {
	every, err := everyForm()
	if err != nil {
		t.Fatal(err)
	}
	speech := piece(1, scene.Synthetic{})[:60*second]
	if marks := hearPiece(speech, every); len(marks) > 0 {
		t.Errorf("%+v", marks)
	}
	g := signal.Generator{Rate: scene.Rate}
	keyed := signal.Samples(g.Digits("7", time.Second/10, time.Second/5, signal.Shape{}))
	if marks := hearPiece(append(keyed, speech[:5*second]...), every); len(marks) != 1 || marks[0].Value != "7" {
		t.Errorf("%+v", marks)
	}
}
