package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Input is a sound card, or one device of it, that can record.
type Input struct {
	Device      string `json:"device"`      // what Config.Device takes; it has the card's ID, which does not change with the order of plugging
	Card        string `json:"card"`        // the card's ID
	Description string `json:"description"` // for a person: what it is, and where it is plugged in
	Port        string `json:"usb_port"`    // the USB port it is in, as Config.Port takes it; empty: none
	InUse       bool   `json:"in_use"`      // a program is recording from it now
	Rates       []int  `json:"rates"`       // frames a second that it can do, ascending; of USB cards only, or the one in use
	Channels    int    `json:"channels"`    // the most it can do; 0: not known
}

// Inputs lists the sound cards that can record, as the kernel knows them; none is opened. On a machine without sound
// cards the list is empty. Names of asound.conf are not listed, but can be used.
func Inputs() ([]Input, error) {
	return inputs(os.DirFS("/proc/asound"), os.DirFS("/sys"))
}

var (
	cardLine   = regexp.MustCompile(`^\s*(\d+) \[(\S+)\s*\]: (.*)$`)
	deviceLine = regexp.MustCompile(`^(\d+)-(\d+): ([^:]*?) : .*\bcapture \d+`)
)

type soundCard struct{ id, description string }

// inputs reads /proc/asound: the files cards and pcm, and what there is of each device; and of sysfs the card's place.
func inputs(proc, sys fs.FS) ([]Input, error) {
	cards, err := readCards(proc)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no sound card, and no driver of one
	} else if err != nil {
		return nil, fmt.Errorf("list sound cards: %w", err)
	}
	devices, err := fs.ReadFile(proc, "pcm")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list sound cards: %w", err)
	}
	var list []Input
	for line := range strings.Lines(string(devices)) {
		m := deviceLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		number, _ := strconv.Atoi(m[1])
		dev, _ := strconv.Atoi(m[2])
		card, ok := cards[number]
		if !ok {
			continue // unplugged between the two files
		}
		in := Input{
			Device:      fmt.Sprintf("plughw:CARD=%s,DEV=%d", card.id, dev),
			Card:        card.id,
			Description: m[3] + ", " + card.description,
			Port:        usbPort(sys, number),
		}
		in.readCapabilities(proc, number, dev)
		list = append(list, in)
	}
	return list, nil
}

// readCards reads two lines a card: number, ID and driver; and where it is.
func readCards(proc fs.FS) (map[int]soundCard, error) {
	text, err := fs.ReadFile(proc, "cards")
	if err != nil {
		return nil, err
	}
	cards := map[int]soundCard{}
	last := -1
	for line := range strings.Lines(string(text)) {
		if m := cardLine.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			last, _ = strconv.Atoi(m[1])
			cards[last] = soundCard{id: m[2], description: m[3]}
		} else if card, ok := cards[last]; ok {
			card.description = strings.TrimSpace(line)
			cards[last] = card
		}
	}
	return cards, nil
}

// readCapabilities takes what the kernel tells without opening the device: USB cards list their formats, and a device
// in use has the parameters it was opened with.
func (in *Input) readCapabilities(proc fs.FS, card, dev int) {
	dir := path.Join(fmt.Sprintf("card%d", card), fmt.Sprintf("pcm%dc", dev), "sub0")
	if status, err := fs.ReadFile(proc, path.Join(dir, "status")); err == nil {
		in.InUse = !strings.HasPrefix(string(status), "closed")
	}
	if f, err := proc.Open(fmt.Sprintf("card%d/stream%d", card, dev)); err == nil {
		in.readUSB(bufio.NewScanner(f))
		_ = f.Close()
	}
	if params, err := fs.ReadFile(proc, path.Join(dir, "hw_params")); err == nil && in.Rates == nil {
		for line := range strings.Lines(string(params)) {
			var n int
			if _, err := fmt.Sscanf(line, "rate: %d", &n); err == nil {
				in.Rates = []int{n}
			} else if _, err := fmt.Sscanf(line, "channels: %d", &n); err == nil {
				in.Channels = n
			}
		}
	}
}

// readUSB reads a USB card's stream file: what it can do, after the word Capture.
func (in *Input) readUSB(lines *bufio.Scanner) {
	capture := false
	for lines.Scan() {
		key, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		value = strings.TrimSpace(value)
		switch {
		case value == "" && (key == "Capture" || key == "Playback"):
			capture = key == "Capture"
		case capture && key == "Channels":
			if n, err := strconv.Atoi(value); err == nil {
				in.Channels = max(in.Channels, n)
			}
		case capture && key == "Rates":
			for _, field := range strings.FieldsFunc(value, func(r rune) bool { return r < '0' || r > '9' }) {
				if n, err := strconv.Atoi(field); err == nil && !slices.Contains(in.Rates, n) {
					in.Rates = append(in.Rates, n)
				}
			}
		}
	}
	slices.Sort(in.Rates)
}
