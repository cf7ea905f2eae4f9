package tone

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

//go:embed tones.toml
var data []byte

// Kind is what an exchange says with a tone.
type Kind string

// The kinds; as the values of marks (call.MarkTone).
const (
	Dial     Kind = "dial"
	RingBack Kind = "ring-back"
	Busy     Kind = "busy"
	Reorder  Kind = "reorder" // no way or no room in the network: many countries call it congestion
	Notice   Kind = "notice"  // this call is recorded: not the exchange's
)

// Form is one form of a tone.
type Form struct {
	Kind  Kind
	Hz    []float64       // ascending
	Times []time.Duration // on and off in turns; none: it goes on
}

// Table is the tones of countries.
type Table map[string][]Form

// country is one in the data file.
type country struct {
	Dial     []string `toml:"dial"`
	RingBack []string `toml:"ring-back"`
	Busy     []string `toml:"busy"`
	Reorder  []string `toml:"reorder"`
}

// BuiltIn is the table that the program brings with it: tones.toml.
func BuiltIn() (Table, error) {
	t := Table{}
	if err := t.Extend(data); err != nil {
		return nil, fmt.Errorf("built-in tones: %w", err)
	}
	return t, nil
}

// Extend reads a data file in the form of tones.toml. A tone that it gives for a country takes the place of what was
// there. An error names the country and the tone; the table is then as before.
func (t Table) Extend(file []byte) error {
	countries := map[string]country{}
	if err := toml.NewDecoder(bytes.NewReader(file)).DisallowUnknownFields().Decode(&countries); err != nil {
		var unknown *toml.StrictMissingError
		if errors.As(err, &unknown) {
			return fmt.Errorf("read tones: a country has dial, ring-back, busy and reorder, and nothing else:\n%s", unknown.String())
		}
		return fmt.Errorf("read tones: %w", err)
	}
	read := Table{}
	for name, c := range countries {
		if len(name) != 2 || strings.ToLower(name) != name {
			return fmt.Errorf("read tones: %q is no country: two small letters are wanted, as in [ke]", name)
		}
		var forms []Form
		for _, one := range []struct {
			kind  Kind
			texts []string
		}{{Dial, c.Dial}, {RingBack, c.RingBack}, {Busy, c.Busy}, {Reorder, c.Reorder}} {
			if one.texts == nil {
				forms = append(forms, t.of(name, one.kind)...)
			}
			for _, text := range one.texts {
				form, err := parseForm(text)
				if err != nil {
					return fmt.Errorf("read tones: %s of [%s]: %w", one.kind, name, err)
				}
				form.Kind = one.kind
				forms = append(forms, form)
			}
		}
		read[name] = forms
	}
	for country, forms := range read {
		t[country] = forms
	}
	return nil
}

// of is the forms of a kind in a country.
func (t Table) of(country string, kind Kind) (forms []Form) {
	for _, f := range t[country] {
		if f.Kind == kind {
			forms = append(forms, f)
		}
	}
	return forms
}

// Countries are those of the table, in order.
func (t Table) Countries() []string {
	var all []string
	for country := range t {
		all = append(all, country)
	}
	slices.Sort(all)
	return all
}

// What a form may be: frequencies that the receiver's band holds, and times that a burst can have.
const (
	lowestHz  = 300.0
	highestHz = 650.0
	shortest  = 0.1 // seconds
	longest   = 15.0
	mostTimes = 16
)

// parseForm reads "440+480: 2 4".
func parseForm(text string) (f Form, err error) {
	frequencies, times, _ := strings.Cut(text, ":")
	for part := range strings.SplitSeq(frequencies, "+") {
		hz, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || !(hz >= lowestHz && hz <= highestHz) {
			return f, fmt.Errorf("%q: %q is no frequency from %g to %g Hz", text, part, lowestHz, highestHz)
		}
		f.Hz = append(f.Hz, hz)
	}
	slices.Sort(f.Hz)
	for _, part := range strings.Fields(times) {
		seconds, err := strconv.ParseFloat(part, 64)
		if err != nil || !(seconds >= shortest && seconds <= longest) {
			return f, fmt.Errorf("%q: %q is no time from %g to %g seconds", text, part, shortest, longest)
		}
		f.Times = append(f.Times, time.Duration(seconds*float64(time.Second)))
	}
	if len(f.Times)%2 != 0 || len(f.Times) > mostTimes {
		return f, fmt.Errorf("%q: times are on and off in turns, at most %d of them", text, mostTimes)
	}
	return f, nil
}
