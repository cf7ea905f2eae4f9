// Package settings reads the strict TOML file that each program has, and says what is wrong with it: the line, the key,
// and the nearest key that is known.
package settings

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Error is a mistake in a settings file.
type Error struct {
	File   string
	Line   int // from 1; 0 where it is of no line
	Reason string
	Err    error // what the system said of the file; nil where it could be read
}

// Unwrap implements errors' interface.
func (e *Error) Unwrap() error { return e.Err }

// Error implements error.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Reason
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
}

// Load reads a TOML file over the defaults that stand in v, a pointer to a struct with toml tags. Every key must be
// known. What is wrong is an *Error, or several joined.
func Load(file string, v any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return &Error{File: file, Reason: fmt.Sprintf("cannot be read: %v; --config names another", errors.Unwrap(err)), Err: err}
	}
	dec := toml.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	err = dec.Decode(v)
	var strict *toml.StrictMissingError
	var syntax *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &strict):
		known := Keys(v)
		var all []error
		for _, e := range strict.Errors {
			key := strings.Join(e.Key(), ".")
			line, _ := e.Position()
			reason := fmt.Sprintf("unknown key %q", key)
			if near := Nearest(key, known); near != "" {
				reason += fmt.Sprintf("; did you mean %q?", near)
			}
			all = append(all, &Error{File: file, Line: line, Reason: reason})
		}
		return errors.Join(all...)
	case errors.As(err, &syntax):
		line, _ := syntax.Position()
		reason := strings.TrimPrefix(syntax.Error(), "toml: ")
		if key := strings.Join(syntax.Key(), "."); key != "" {
			reason = fmt.Sprintf("key %q: %s", key, reason)
		}
		return &Error{File: file, Line: line, Reason: reason}
	default:
		return &Error{File: file, Reason: err.Error()}
	}
}

// Keys lists the dotted keys that a settings struct knows, tables and leaves.
func Keys(v any) []string {
	var keys []string
	walk(reflect.TypeOf(v), "", &keys)
	return keys
}

func walk(t reflect.Type, prefix string, keys *[]string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(textUnmarshaler) {
		return
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ",")
		if name == "" || name == "-" {
			continue
		}
		key := strings.TrimPrefix(prefix+"."+name, ".")
		*keys = append(*keys, key)
		walk(t.Field(i).Type, key, keys)
	}
}

var textUnmarshaler = reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()

// Nearest is the known word that takes the fewest edits from s; empty where none is near. Of dotted keys the last part
// counts most: a known key whose last part is the same in another table is near.
func Nearest(s string, known []string) string {
	best, least := "", len(s)/2+1
	for _, k := range known {
		if d := distance(s, k); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known {
		if last(k) == last(s) {
			return k
		}
	}
	return ""
}

func last(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Duration is a time.Duration written as "2h", "1s", "200ms".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as \"20s\" or \"2h\"", b)
	}
	*d = Duration(v)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Size is a number of bytes written as "64MiB", "2GiB" or a plain number.
type Size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(b []byte) error {
	text, factor := string(b), int64(1)
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			text, factor = strings.TrimSpace(number), int64(1)<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return fmt.Errorf("%q is not a size such as \"64MiB\" or \"2GiB\"", b)
	}
	*s = Size(n * factor)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if factor := Size(1) << (10 * (4 - i)); s >= factor && s%factor == 0 {
			return fmt.Appendf(nil, "%d%s", s/factor, unit), nil
		}
	}
	return strconv.AppendInt(nil, int64(s), 10), nil
}
