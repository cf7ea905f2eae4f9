package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"sync"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/bench/figures"
	"github.com/linekeeper/linekeeper/lab/wholeline/scene"
	"github.com/linekeeper/linekeeper/line/callerid"
	"github.com/linekeeper/linekeeper/line/dtmf"
	"github.com/linekeeper/linekeeper/line/tone"
	"github.com/linekeeper/linekeeper/pcm"
)

// pieceMinutes is how long a piece of speech is that can be played again.
const pieceMinutes = 5

// musicPieces are the seeds from which on pieces are of music on hold.
const musicPieces = 50000

// piece is some minutes of people who speak, each sentence by another, at a level from full scale to 40 dB below it, over
// a line's noise; or of music on hold. Nothing in it is a signal.
func piece(seed uint64, v scene.Voices) []int16 {
	r := rand.New(rand.NewPCG(seed, 0x7a1c))
	out := make([]int16, 0, pieceMinutes*60*scene.Rate)
	for len(out) < cap(out) {
		var sentence []float32
		if seed%casesASeed < musicPieces {
			sentence = v.Speaker(r)()
		} else {
			sentence = v.Music(r, 20*scene.Rate)
		}
		loudest := 1e-6
		for _, s := range sentence {
			loudest = max(loudest, math.Abs(float64(s)))
		}
		gain := 32767 / loudest * math.Pow(10, -r.Float64()*40/20)
		for i := range len(sentence) + r.IntN(scene.Rate/2) {
			s := 20 * r.NormFloat64() // -64 dBFS
			if i < len(sentence) {
				s += gain * float64(sentence[i])
			}
			if len(out) < cap(out) {
				out = append(out, int16(max(-32768, min(32767, s))))
			}
		}
	}
	return out
}

// hearPiece is all that the detectors take for a signal in a piece; the tones are those of all countries at once.
func hearPiece(samples []int16, every []tone.Form) (marks []call.Mark) {
	f := pcm.Format{Rate: scene.Rate, Channels: 1}
	digits, caller, tones := dtmf.NewDetector(f), callerid.NewDetector(f), tone.NewDetector(every, f)
	const period = scene.Rate / 10
	for at := 0; at < len(samples); at += period {
		p := pcm.Period{Format: f, Position: int64(at), Samples: samples[at : at+period]}
		marks = append(marks, digits.Feed(p)...)
		marks = append(marks, caller.Feed(p)...)
		marks = append(marks, tones.Feed(p)...)
	}
	return marks
}

func everyForm() (every []tone.Form, err error) {
	tones, err := tone.BuiltIn()
	for _, country := range tones.Countries() {
		every = append(every, tones[country]...)
	}
	return every, err
}

// talk counts what is taken for a signal in hours of speech, and in a tenth of the time of music on hold.
func (b *bench) talk(ctx context.Context, v scene.Voices, text *strings.Builder) error {
	every, err := everyForm()
	if err != nil {
		return err
	}
	for _, one := range []struct {
		what   string
		first  uint64
		hours  float64
		target string
	}{{"speech", b.seed * casesASeed, b.hours, "0"}, {"music on hold", b.seed*casesASeed + musicPieces, b.hours / 10, "-"}} {
		pieces := int(math.Ceil(one.hours * 60 / pieceMinutes))
		heard, err := b.hearPieces(ctx, v, one.first, pieces, every)
		if err != nil {
			return err
		}
		counts, places := map[call.MarkKind]int{}, ""
		for i, marks := range heard {
			for _, m := range marks {
				counts[m.Kind]++
				places += fmt.Sprintf("  %s %q at %s: go run ./lab/wholeline -replay-talk %d\n", m.Kind, m.Value, clock(m.Position), one.first+uint64(i))
			}
		}
		rows := [][]string{{fmt.Sprintf("in %.1f hours of %s", float64(pieces*pieceMinutes)/60, one.what), "Linekeeper", "to reach", ""}}
		for _, kind := range []struct {
			what string
			kind call.MarkKind
		}{{"false digits", call.MarkDigits}, {"false caller IDs, damaged ones too", call.MarkCallerID}, {"false tones, of all countries at once, and notices", call.MarkTone}} {
			verdict := "-"
			if one.target == "0" {
				verdict = met(counts[kind.kind] == 0)
			}
			rows = append(rows, []string{kind.what, fmt.Sprint(counts[kind.kind]), one.target, verdict})
		}
		fmt.Fprintf(text, "\n%s%s", figures.Markdown(rows), places)
	}
	return nil
}

// hearPieces is what is heard in so many pieces, some at a time.
func (b *bench) hearPieces(ctx context.Context, v scene.Voices, first uint64, pieces int, every []tone.Form) ([][]call.Mark, error) {
	heard := make([][]call.Mark, pieces)
	for begin := 0; begin < pieces; begin += b.workers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var workers sync.WaitGroup
		for i := begin; i < min(pieces, begin+b.workers); i++ {
			workers.Go(func() { heard[i] = hearPiece(piece(first+uint64(i), v), every) })
		}
		workers.Wait()
		fmt.Fprintf(os.Stderr, "\r%d of %d minutes ", min(pieces, begin+b.workers)*pieceMinutes, pieces*pieceMinutes)
	}
	fmt.Fprintln(os.Stderr)
	return heard, nil
}
