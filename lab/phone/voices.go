package phone

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/pcm"
)

// Voice is a person who has spoken sentences into WAV files.
type Voice struct {
	Name  string
	Files []string // in order of name
}

// Clip is a stretch of speech, one channel.
type Clip struct {
	Name    string // its file's, without folder and ending
	Rate    int
	Samples []int16
}

// Duration is how long it lasts.
func (c Clip) Duration() time.Duration {
	return pcm.Format{Rate: c.Rate, Channels: 1}.Duration(int64(len(c.Samples)))
}

// voiceFolder is where Debian's packages asterisk-core-sounds-LANGUAGE-wav put a folder for each voice.
const voiceFolder = "/usr/share/asterisk/sounds"

// preferred are the beginnings of the names of the voices that come first; the others follow in order of name.
var preferred = [...]string{"en_", "fr_", "es_", "it_", "ru_"}

// ErrNoVoices is returned where there is nobody to speak, with what to install.
var ErrNoVoices = errors.New("no voices on this machine; install them: apt-get install asterisk-core-sounds-en-wav (or espeak-ng)")

// FindVoices finds all voices of Debian's asterisk-core-sounds-*-wav packages, English ones first. Where there is none,
// espeak-ng speaks some sentences to files in the user's cache folder.
func FindVoices() ([]Voice, error) {
	voices, err := findVoices(voiceFolder)
	if err != nil || len(voices) > 0 {
		return voices, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return espeakVoices(filepath.Join(cache, "linekeeper-voices"))
}

func findVoices(root string) ([]Voice, error) {
	folders, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("find voices: %w", err)
	}
	var voices []Voice
	for _, folder := range folders {
		// Sentences lie in the folder itself; below it are digits, letters and silences.
		files, err := filepath.Glob(filepath.Join(root, folder.Name(), "*.wav"))
		if err != nil {
			return nil, fmt.Errorf("find voices: %w", err)
		}
		if len(files) > 0 {
			voices = append(voices, Voice{Name: folder.Name(), Files: files})
		}
	}
	slices.SortStableFunc(voices, func(a, b Voice) int { return preference(a.Name) - preference(b.Name) })
	return voices, nil
}

func preference(name string) int {
	for i, p := range preferred {
		if strings.HasPrefix(name, p) {
			return i
		}
	}
	return len(preferred)
}

// sentences are for espeak-ng, which reads English whoever the voice is.
var sentences = [...]string{
	"Good morning, this is the branch office, how can I help you?",
	"I am calling about the invoice that you sent us last week.",
	"One moment please, I will look it up for you.",
	"The parcel has left our warehouse on Tuesday afternoon.",
	"Could you spell the name of the street for me?",
	"Thank you very much, that is all I wanted to know.",
	"We are open from nine to five, except on Sundays.",
	"The delivery is late because of the heavy rain.",
	"Please send the contract to our office in the harbour.",
	"My colleague will call you back before noon.",
	"There are twelve boxes, and two of them are damaged.",
	"I have written it down, and wish you a pleasant day.",
}

// espeakVoices lets espeak-ng speak into dir what is not there yet.
func espeakVoices(dir string) ([]Voice, error) {
	program, err := exec.LookPath("espeak-ng")
	if err != nil {
		return nil, ErrNoVoices
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make voices: %w", err)
	}
	var voices []Voice
	for _, name := range []string{"en+f3", "en+m3", "en+m7"} {
		v := Voice{Name: name}
		for i, sentence := range sentences {
			file := filepath.Join(dir, fmt.Sprintf("%s-%02d.wav", name, i))
			if _, err := os.Stat(file); err != nil {
				if out, err := exec.Command(program, "-v", name, "-w", file, sentence).CombinedOutput(); err != nil {
					return nil, fmt.Errorf("make voices with espeak-ng: %w: %s", err, out)
				}
			}
			v.Files = append(v.Files, file)
		}
		voices = append(voices, v)
	}
	return voices, nil
}

// Clips reads the voices' speech that lasts from shortest to longest, without the silence at its ends, voice by voice
// in the order of their files.
func Clips(voices []Voice, shortest, longest time.Duration) ([]Clip, error) {
	var clips []Clip
	for _, v := range voices {
		for _, file := range v.Files {
			c, err := ReadClip(file)
			if err != nil {
				return nil, err
			}
			if d := c.Duration(); d >= shortest && d <= longest {
				clips = append(clips, c)
			}
		}
	}
	return clips, nil
}

// ReadClip reads a WAV file, all channels mixed to one, without the silence at its ends.
func ReadClip(path string) (Clip, error) {
	f, err := os.Open(path)
	if err != nil {
		return Clip{}, fmt.Errorf("read speech: %w", err)
	}
	defer func() { _ = f.Close() }()
	r, err := pcm.NewWAVReader(f)
	if err != nil {
		return Clip{}, fmt.Errorf("read speech %s: %w", path, err)
	}
	c := Clip{Name: strings.TrimSuffix(filepath.Base(path), ".wav"), Rate: r.Format.Rate}
	buf := make([]int16, 8192*r.Format.Channels)
	for {
		n, err := r.Read(buf)
		c.Samples = pcm.Mix(c.Samples, buf[:n], r.Format.Channels)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Clip{}, fmt.Errorf("read speech %s: %w", path, err)
		}
	}
	c.Samples = trim(c.Samples)
	return c, nil
}

// trim cuts what is 30 dB below the loudest sample at both ends, so that a clip begins with its first sound.
func trim(samples []int16) []int16 {
	loudest := 0.0
	for _, s := range samples {
		loudest = max(loudest, math.Abs(float64(s)))
	}
	sounds := func(s int16) bool { return math.Abs(float64(s)) > loudest/30 }
	first := slices.IndexFunc(samples, sounds)
	if first < 0 {
		return nil
	}
	last := len(samples) - 1
	for !sounds(samples[last]) {
		last--
	}
	return samples[first : last+1]
}
