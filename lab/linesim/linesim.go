// Package linesim is a sound card that is a file: an ALSA plugin, compiled with gcc where it is needed, whose devices
// are opened by name through the real ALSA library as any card is, and which can be pulled out and put back.
//
//	sim, err := linesim.Install(ctx, dir, linesim.Card{Name: "line8k", File: "talk.raw", Rate: 8000, Channels: 1, Control: true})
//	cmd.Env = append(os.Environ(), sim.Env())
//	// in the program: capture.Config{Device: "line8k", ...}
//	err = sim.Unplug("line8k")
//
// What is heard when: the line's position is the real time since the card was first started, in frames. The first
// frame that is ever captured is frame 0 of the file. What is not read in time is lost, as on a real card. A card with
// Control remembers its first start in its folder: when it is opened again, also by another program, the line has gone
// on meanwhile, and a new folder is a new line. A card without Control begins at frame 0 each time it is opened. After
// the end of the file there is silence, or with Loop the file again.
//
// A card with a Clock has a time of its own, in which a day takes minutes.
//
// It needs gcc and Debian's libasound2-dev.
package linesim

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/pcm"
)

//go:embed pcm_linesim.c
var source []byte

var cardName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// Card is a simulated sound card.
type Card struct {
	Name     string // the device's name for ALSA: letters, digits, underscores
	File     string // its audio: signed 16 bits, little-endian, interleaved, without a head (WriteSamples writes it)
	Rate     int    // the only rate it can do
	Channels int    // the only number of channels
	PPM      int    // how much faster than the clock it runs, in parts per million; negative: slower
	Loop     bool   // play the file again and again, instead of silence after its end
	UnplugAt int64  // line position, in frames, at which it is pulled out; 0: never
	ReplugAt int64  // line position at which it is there again; 0: never. Only with Control.
	Most     int    // frames that its buffer holds at most; 0: as many as anybody asks for
	Clock    *Clock // its time; nil: real time

	// Control: it can be pulled out, put back, stalled and sent to sleep while it runs, its line goes on between openings,
	// and one program has it at a time.
	Control bool
}

// Sim is a folder with the compiled plugin, its cards, and the ALSA configuration that makes them known.
type Sim struct {
	dir string
}

// Install compiles the plugin into dir, which it makes, and writes the configuration for the cards.
func Install(ctx context.Context, dir string, cards ...Card) (*Sim, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("install the line simulator: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("install the line simulator: %w", err)
	}
	s := &Sim{dir: dir}
	if err := s.compile(ctx); err != nil {
		return nil, err
	}
	conf, err := s.config(cards)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.configFile(), []byte(conf), 0o644); err != nil {
		return nil, fmt.Errorf("write the line simulator's configuration: %w", err)
	}
	return s, nil
}

// Env is the setting under which a program's ALSA library finds the cards, as NAME=value. It has to stand in the
// environment before the program first opens a device.
func (s *Sim) Env() string { return "ALSA_CONFIG_PATH=" + s.configFile() }

// Unplug pulls the card out. It stays out, also for programs that start later, until Plug.
func (s *Sim) Unplug(card string) error {
	return s.write(card, "unplugged", "")
}

// Plug puts the card back.
func (s *Sim) Plug(card string) error {
	if err := os.Remove(s.control(card) + ".unplugged"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("plug card %s: %w", card, err)
	}
	return nil
}

// Stall holds up the reader of the card for d, once: longer than its buffer makes a real overrun.
func (s *Sim) Stall(card string, d time.Duration) error {
	return s.write(card, "stall", strconv.FormatInt(d.Milliseconds(), 10))
}

// Sleep suspends the card, once, as a machine that sleeps does: whoever has it open hears nothing more of it, and may open
// it again.
func (s *Sim) Sleep(card string) error {
	return s.write(card, "sleep", "1")
}

// WriteSamples writes a card's audio.
func WriteSamples(file string, samples []int16) error {
	if err := os.WriteFile(file, pcm.AppendBytes(make([]byte, 0, 2*len(samples)), samples), 0o644); err != nil {
		return fmt.Errorf("write a simulated card's audio: %w", err)
	}
	return nil
}

func (s *Sim) configFile() string         { return filepath.Join(s.dir, "asound.conf") }
func (s *Sim) library() string            { return filepath.Join(s.dir, "libasound_module_pcm_linesim.so") }
func (s *Sim) control(card string) string { return filepath.Join(s.dir, card) }

// write puts a control file in place whole, since the plugin may look at any moment.
func (s *Sim) write(card, what, text string) error {
	name := s.control(card) + "." + what
	err := os.WriteFile(name+".new", []byte(text), 0o644)
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		return fmt.Errorf("control card %s: %w", card, err)
	}
	return nil
}

func (s *Sim) compile(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "gcc", "-O2", "-Wall", "-shared", "-fPIC", "-DPIC", "-x", "c", "-o", s.library(), "-", "-lasound")
	cmd.Stdin = bytes.NewReader(source)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("compile the line simulator (it needs gcc and libasound2-dev: make deps): %w\n%s", err, out)
	}
	return nil
}

func (s *Sim) config(cards []Card) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "</usr/share/alsa/alsa.conf>\npcm_type.linesim { lib %q }\n", s.library())
	for _, c := range cards {
		file, err := filepath.Abs(c.File)
		if err != nil {
			return "", fmt.Errorf("simulated card %s: %w", c.Name, err)
		}
		if !cardName.MatchString(c.Name) || c.Rate <= 0 || c.Channels <= 0 {
			return "", fmt.Errorf("simulated card %q: it needs a name of letters, digits and underscores, a rate and channels", c.Name)
		}
		fmt.Fprintf(&b, "pcm.%s {\n\ttype linesim\n\tfile %q\n\trate %d\n\tchannels %d\n", c.Name, file, c.Rate, c.Channels)
		option := func(name string, value int64) {
			if value != 0 {
				fmt.Fprintf(&b, "\t%s %d\n", name, value)
			}
		}
		option("ppm", int64(c.PPM))
		option("unplug_at", c.UnplugAt)
		option("replug_at", c.ReplugAt)
		option("most", int64(c.Most))
		if c.Loop {
			option("loop", 1)
		}
		if c.Clock != nil {
			fmt.Fprintf(&b, "\tclock %q\n", c.Clock.file)
		}
		if c.Control {
			fmt.Fprintf(&b, "\tcontrol %q\n", s.control(c.Name))
		}
		b.WriteString("\thint { show on description \"simulated line\" }\n}\n")
	}
	return b.String(), nil
}
