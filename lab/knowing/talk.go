package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/line/callerid"
	"github.com/linekeeper/linekeeper/line/dtmf"
	"github.com/linekeeper/linekeeper/line/tone"
)

// voices is where Debian's packages of recorded voices are.
const voices = "/usr/share/asterisk/sounds"

// speech gives clips of people who speak, each time at another speed and pitch, and at another level: recorded ones, and
// every fourth by espeak-ng where it is installed. Nothing that it gives is a signal.
type speech struct {
	ctx    context.Context
	dir    string
	random *rand.Rand
	files  []string
	espeak string
}

func newSpeech(ctx context.Context, dir string, seed uint64) (*speech, error) {
	s := &speech{ctx: ctx, dir: dir, random: rand.New(rand.NewPCG(seed, 0x7a1c))}
	err := filepath.WalkDir(voices, func(path string, _ fs.DirEntry, err error) error {
		// beep.wav and its like are signals, and silence is none that could be mistaken.
		if strings.HasSuffix(path, ".wav") && !strings.Contains(path, "beep") && !strings.Contains(path, "/silence/") {
			s.files = append(s.files, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("find voices: %w", err)
	}
	if len(s.files) == 0 {
		return nil, phone.ErrNoVoices
	}
	if s.espeak, err = exec.LookPath("espeak-ng"); err != nil {
		s.espeak = ""
	}
	return s, nil
}

// next is another clip, with a pause after it.
func (s *speech) next() ([]int16, error) {
	var clip phone.Clip
	var err error
	if s.espeak != "" && s.random.IntN(4) == 0 {
		clip, err = s.synthetic()
	} else {
		clip, err = phone.ReadClip(s.files[s.random.IntN(len(s.files))])
	}
	if err != nil {
		return nil, err
	}
	speed := math.Pow(2, s.random.Float64()-0.5) // half an octave down and up
	samples := replay(clip.Samples, float64(clip.Rate)*speed/rate)
	loudest := 1.0
	for _, v := range samples {
		loudest = max(loudest, math.Abs(float64(v)))
	}
	gain := 32767 / loudest * math.Pow(10, -s.random.Float64()*40/20) // from full scale to 40 dB below it
	out := make([]int16, len(samples)+s.random.IntN(rate))
	for i := range out {
		v := 20 * s.random.NormFloat64() // a line's noise, at -64 dBFS
		if i < len(samples) {
			v += gain * float64(samples[i])
		}
		out[i] = int16(max(-32768, min(32767, v)))
	}
	return out, nil
}

// replay plays samples at another speed: a cubic through four of them at each place.
func replay(samples []int16, step float64) (out []int16) {
	for at := 1.0; at < float64(len(samples)-2); at += step {
		n := int(at)
		x := at - float64(n)
		a, b, c, d := float64(samples[n-1]), float64(samples[n]), float64(samples[n+1]), float64(samples[n+2])
		v := b + x/2*(c-a+x*(2*a-5*b+4*c-d+x*(3*(b-c)+d-a)))
		out = append(out, int16(max(-32768, min(32767, v))))
	}
	return out
}

var sentences = [...]string{
	"Good morning, this is the branch office. How can I help you?",
	"I am calling about the invoice number four five seven eight, which you sent us last week.",
	"No, no, no! We ordered twenty boxes, and only nineteen have arrived at the harbour.",
	"Please hold the line, I am going to ask my colleague in the warehouse.",
	"Our opening hours are nine to five, from Monday to Friday, and nine to one on Saturdays.",
	"Bonjour, je vous appelle au sujet de la livraison de mardi; elle n'est pas encore arrivée.",
	"Guten Tag, hier spricht die Werkstatt. Ihr Wagen ist fertig, Sie können ihn abholen.",
	"Habari za asubuhi, ninapiga simu kuhusu malipo ya mwezi uliopita.",
	"Buenos días, quisiera hablar con el encargado de las compras y de la entrega.",
	"Mhm. Yes. Yes. Aha. One moment. Six, three, zero, eight. Right. Thank you very much, goodbye!",
}

// synthetic is a sentence by espeak-ng, by a voice that the random numbers choose.
func (s *speech) synthetic() (phone.Clip, error) {
	file := filepath.Join(s.dir, "speech.wav")
	languages := [...]string{"en", "en-us", "fr", "de", "sw", "es", "hi", "pt", "af", "it", "tr", "ru"}
	kinds := [...]string{"", "+m1", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4"}
	voice := languages[s.random.IntN(len(languages))] + kinds[s.random.IntN(len(kinds))]
	cmd := exec.CommandContext(s.ctx, s.espeak, "-v", voice, "-p", fmt.Sprint(5+s.random.IntN(90)), "-s", fmt.Sprint(100+s.random.IntN(130)),
		"-w", file, sentences[s.random.IntN(len(sentences))])
	if out, err := cmd.CombinedOutput(); err != nil {
		return phone.Clip{}, fmt.Errorf("speak by espeak-ng: %w: %s", err, out)
	}
	defer func() { _ = os.Remove(file) }()
	return phone.ReadClip(file)
}

// measureTalk lets everybody hear speech, and counts what they take for signals.
func (b *bench) measureTalk(ctx context.Context, dir string) ([][]string, error) {
	s, err := newSpeech(ctx, dir, b.voice)
	if err != nil {
		return nil, err
	}
	every, err := everyForm()
	if err != nil {
		return nil, err
	}
	digits, caller, tones := dtmf.NewReceiver(rate), callerid.NewReceiver(rate), tone.NewReceiver(every, rate)
	falseDigits, falseCallers, falseTones := make([]int, len(b.peers)), make([]int, len(b.peers)), 0
	ours := len(b.peers) - 1
	for heard := time.Duration(0); heard < b.talk; {
		var piece []int16
		for len(piece) < 5*60*rate {
			more, err := s.next()
			if err != nil {
				return nil, err
			}
			piece = append(piece, more...)
		}
		heard += time.Duration(len(piece)) * time.Second / rate
		for i, c := range b.peers[:ours] {
			found, err := c.digits(piece)
			if err != nil {
				return nil, err
			}
			falseDigits[i] += len(strings.Join(found, ""))
			if found, err = c.callers(piece, "bell"); err != nil {
				return nil, err
			}
			falseCallers[i] += len(found)
		}
		for part := range periods(piece) { // ours hear it in one piece
			falseDigits[ours] += len(digits.Feed(part))
			falseCallers[ours] += len(caller.Feed(part))
			falseTones += len(tones.Feed(part))
		}
		fmt.Fprintf(os.Stderr, "%v of speech: false digits %v, caller IDs %v, tones %d\n", heard.Round(time.Second), falseDigits, falseCallers, falseTones)
	}
	row := func(what string, counts ...string) []string {
		met := "met"
		if counts[ours] != "0" {
			met = "missed"
		}
		return append(append([]string{fmt.Sprintf("%s in %v of speech", what, b.talk)}, counts...), "0", met)
	}
	return [][]string{
		row("false digits", texts(falseDigits)...),
		row("false caller IDs, damaged ones too", texts(falseCallers)...),
		row("false tones, of all countries at once", b.onlyOurs(fmt.Sprint(falseTones))...),
	}, nil
}

func texts(counts []int) (all []string) {
	for _, n := range counts {
		all = append(all, fmt.Sprint(n))
	}
	return all
}
