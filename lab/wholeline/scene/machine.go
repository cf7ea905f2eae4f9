package scene

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

	"github.com/linekeeper/linekeeper/lab/phone"
)

// Where Debian's packages have recorded voices (asterisk-core-sounds-*-wav) and music on hold (asterisk-moh-opsound-wav).
const (
	voiceFolder = "/usr/share/asterisk/sounds"
	musicFolder = "/usr/share/asterisk/moh"
)

// Machine are the voices and the music that are installed: people recorded for Debian's asterisk-core-sounds-*-wav, and
// espeak-ng in twelve languages. It is for reading by many at once.
type Machine struct {
	people [][][]int16 // sentences of each
	music  [][]int16
}

// espeakPeople is how many people espeak-ng is.
const espeakPeople = 16

// LoadMachine reads them; everything is at Rate then, and takes some 60 MB. Where there is no voice, the error says what
// to install; without espeak-ng or music there is just less of both.
func LoadMachine(ctx context.Context) (*Machine, error) {
	m := &Machine{}
	folders, err := os.ReadDir(voiceFolder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("find voices: %w", err)
	}
	for _, folder := range folders {
		sentences, err := readFolder(filepath.Join(voiceFolder, folder.Name()))
		if err != nil {
			return nil, err
		}
		if len(sentences) > 0 {
			m.people = append(m.people, sentences)
		}
	}
	if len(m.people) == 0 {
		return nil, phone.ErrNoVoices
	}
	if m.music, err = readFolder(musicFolder); err != nil {
		return nil, err
	}
	return m, m.espeak(ctx)
}

// readFolder reads what lasts longer than half a second. Beeps and silences are no voices.
func readFolder(folder string) (sounds [][]int16, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.wav"))
	if err != nil {
		return nil, fmt.Errorf("find voices: %w", err)
	}
	for _, file := range files {
		if strings.Contains(file, "beep") {
			continue
		}
		clip, err := phone.ReadClip(file)
		if err != nil {
			return nil, err
		}
		if samples := toRate(clip); len(samples) > Rate/2 {
			sounds = append(sounds, samples)
		}
	}
	return sounds, nil
}

var sentences = [...]string{
	"Good morning, this is the branch office. How can I help you?",
	"I am calling about invoice number four five seven eight, which you sent us last week.",
	"No, no! We ordered twenty boxes, and only nineteen have arrived at the harbour.",
	"Habari za asubuhi, ninapiga simu kuhusu malipo ya mwezi uliopita.",
	"Bonjour, je vous appelle au sujet de la livraison de mardi; elle n'est pas encore arrivée.",
	"Buenos días, quisiera hablar con el encargado de las compras.",
	"Mhm. Yes. Yes. One moment. Six, three, zero, eight. Right. Goodbye!",
	"Guten Tag, hier spricht die Werkstatt. Ihr Wagen ist fertig.",
}

// espeak lets espeak-ng speak, where it is installed.
func (m *Machine) espeak(ctx context.Context) error {
	program, err := exec.LookPath("espeak-ng")
	if err != nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "wholeline-")
	if err != nil {
		return fmt.Errorf("make voices: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	r := rand.New(rand.NewPCG(1, 0xe59e))
	languages := [...]string{"en", "en-us", "fr", "de", "sw", "es", "hi", "pt", "af", "it", "tr", "ru"}
	kinds := [...]string{"", "+m1", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4"}
	for n := range espeakPeople {
		voice := languages[n%len(languages)] + kinds[r.IntN(len(kinds))]
		pitch, speed := fmt.Sprint(between(r, 10, 90)), fmt.Sprint(between(r, 110, 220))
		var person [][]int16
		for _, sentence := range sentences {
			file := filepath.Join(dir, "speech.wav")
			out, err := exec.CommandContext(ctx, program, "-v", voice, "-p", pitch, "-s", speed, "-w", file, sentence).CombinedOutput()
			if err != nil {
				return fmt.Errorf("speak by espeak-ng: %w: %s", err, out)
			}
			clip, err := phone.ReadClip(file)
			if err != nil {
				return err
			}
			person = append(person, toRate(clip))
		}
		m.people = append(m.people, person)
	}
	return nil
}

// toRate brings a clip to Rate, and where it is of a higher one, to what a line passes: below 3400 Hz.
func toRate(c phone.Clip) []int16 {
	if c.Rate == Rate {
		return c.Samples
	}
	const half, edge = 20, 3400.0
	var filter [2*half + 1]float64
	for i := range filter {
		t := float64(i - half)
		filter[i] = 2 * edge / float64(c.Rate) * (0.5 + 0.5*math.Cos(math.Pi*t/(half+1)))
		if x := 2 * math.Pi * edge / float64(c.Rate) * t; x != 0 {
			filter[i] *= math.Sin(x) / x
		}
	}
	passed := make([]int16, max(0, len(c.Samples)-2*half))
	for i := range passed {
		sum := 0.0
		for k, f := range filter {
			sum += f * float64(c.Samples[i+k])
		}
		passed[i] = int16(max(-32768, min(32767, sum)))
	}
	sound := replay(passed, float64(c.Rate)/Rate)
	out := make([]int16, len(sound))
	for i, v := range sound {
		out[i] = int16(32767 * max(-1, min(1, v)))
	}
	return out
}

// Speaker chooses a person, and makes another of them by pitch and speed. Recorded people are chosen for three of four.
func (m *Machine) Speaker(r *rand.Rand) func() []float32 {
	recorded := max(1, len(m.people)-espeakPeople)
	person := m.people[r.IntN(recorded)]
	if recorded < len(m.people) && chance(r, 0.25) {
		person = m.people[recorded+r.IntN(len(m.people)-recorded)]
	}
	v := newVariation(r)
	return func() []float32 { return v.apply(person[r.IntN(len(person))]) }
}

// Music is a stretch of a piece; of one made here where none is installed.
func (m *Machine) Music(r *rand.Rand, length int) []float32 {
	if len(m.music) == 0 {
		return Synthetic{}.Music(r, length)
	}
	piece := m.music[r.IntN(len(m.music))]
	out, at := make([]float32, length), r.IntN(len(piece))
	for i := range out {
		out[i] = float32(piece[(at+i)%len(piece)]) / 32768
	}
	return out
}
