package health

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/linekeeper/linekeeper/wire"
)

// The log is two files of lines, health.log and the one before it, health.log.1, each of at most maxLog bytes, or some 160
// lines: a week of one an hour in each. A line is a wire.Health, or what follows it in a boot's end; one that a power cut tore is
// passed over, as is whatever else cannot be read: the log tells of the board's health, and must not be what fails.
const (
	logName = "health.log"
	maxLog  = 64 << 10
)

// line is a line of the log.
type line struct {
	wire.Health
	Stopped bool `json:"stopped,omitempty"` // the program was told to stop: whatever comes next was no power cut
}

type log struct {
	folder string
	lines  []line // those of both files, oldest first
	size   int64  // of health.log
	torn   bool   // its last line has no end

	boot    string // of the last line
	boots   int64
	reset   string
	orderly bool // the last line says so
}

func openLog(folder string) (*log, error) {
	l := &log{folder: folder}
	for _, name := range []string{logName + ".1", logName} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the log of the board's health: %w", err)
		}
		l.size, l.torn = int64(len(text)), len(text) > 0 && text[len(text)-1] != '\n'
		l.take(text)
	}
	return l, nil
}

func (l *log) take(text []byte) {
	for text := range bytes.SplitSeq(text[max(0, len(text)-2*maxLog):], []byte{'\n'}) {
		var v line
		if json.Unmarshal(text, &v) != nil || v.Number <= l.last() {
			continue
		}
		l.lines = append(l.lines, v)
		l.boot, l.boots, l.reset, l.orderly = v.Boot, v.Boots, v.Reset, v.Stopped
	}
}

// last is the number of the last line; 0: there is none.
func (l *log) last() uint64 {
	if len(l.lines) == 0 {
		return 0
	}
	return l.lines[len(l.lines)-1].Number
}

func (l *log) append(v line) error {
	v.Number = l.last() + 1
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if l.torn {
		text = append([]byte{'\n'}, text...)
	}
	path := filepath.Join(l.folder, logName)
	if l.size+int64(len(text)) > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return err
		}
		l.size = 0
		l.lines = l.lines[len(l.lines)-min(len(l.lines), maxLog/200):]
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		l.torn = true // who knows what of it is there
		return err
	}
	l.torn, l.size = false, l.size+int64(len(text))
	l.lines = append(l.lines, v)
	l.boot, l.boots, l.reset, l.orderly = v.Boot, v.Boots, v.Reset, v.Stopped
	return nil
}

// Keep writes what was read into the log, durably.
func (h *Health) Keep(v wire.Health) error { return h.keep(line{Health: v}) }

// Stop writes that the program was told to stop: the end of this boot, should it come, is no power cut.
func (h *Health) Stop(v wire.Health) error { return h.keep(line{Health: v, Stopped: true}) }

func (h *Health) keep(v line) error {
	if err := h.log.append(v); err != nil {
		return fmt.Errorf("keep the board's health in %s: %w", filepath.Join(h.log.folder, logName), err)
	}
	return nil
}

// After gives lines of the log with a higher number, the oldest first, at most limit of them.
func (h *Health) After(number uint64, limit int) []wire.Health {
	var found []wire.Health
	for _, v := range h.log.lines {
		if v.Number > number && len(found) < limit {
			found = append(found, v.Health)
		}
	}
	return found
}

// Last is the number of the log's last line; 0: it is empty.
func (h *Health) Last() uint64 { return h.log.last() }
