package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/wire"
)

// recipients is whom calls are sealed to: at first as the identity says, then as headquarters says, which is kept. It is
// safe for concurrent use.
type recipients struct {
	file string
	id   identity

	mu    sync.Mutex
	to    seal.Recipients // none: nobody
	names string          // the same as text, a line each
	since time.Time       // when headquarters said so; zero: it stands in the identity
}

// loadRecipients reads whom calls are sealed to. That there is nobody is for sealTo to judge.
func loadRecipients(dir string, id identity) (*recipients, error) {
	r := &recipients{file: filepath.Join(dir, fileNewer), id: id}
	first := filepath.Join(dir, fileRecipients)
	text, err := os.ReadFile(first)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read whom calls are sealed to: %w", err)
	}
	if err == nil {
		r.names = strings.TrimSpace(string(text))
		if r.to, err = seal.ParseRecipients(r.names); err != nil {
			return nil, fmt.Errorf("read whom calls are sealed to: %s: %w", first, err)
		}
	}
	newer, err := os.ReadFile(r.file)
	if errors.Is(err, fs.ErrNotExist) || id.receipt == nil {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read whom calls are sealed to: %w", err)
	}
	if _, err := r.take(strings.TrimSpace(string(newer))); err != nil {
		return nil, fmt.Errorf("read whom calls are sealed to: %s: %w: remove it, headquarters will send it again", r.file, err)
	}
	return r, nil
}

// take takes headquarters' word, if it is newer than what is known.
func (r *recipients) take(jws string) (changed bool, err error) {
	word, err := wire.VerifyRecipients(r.id.receipt, jws)
	if err != nil {
		return false, err
	}
	if word.Device != r.id.device {
		return false, fmt.Errorf("recipients are for device %s", word.Device)
	}
	names := strings.Join(word.Recipients, "\n")
	to, err := seal.ParseRecipients(names)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !word.Time.After(r.since) {
		return false, nil
	}
	changed = names != r.names
	r.to, r.names, r.since = to, names, word.Time
	return changed, nil
}

// Told keeps headquarters' word on whom calls are sealed to from now on, durably.
func (r *recipients) Told(jws string) error {
	changed, err := r.take(jws)
	if err != nil || !changed {
		return err
	}
	if err := writeDurably(r.file, []byte(jws+"\n")); err != nil {
		return fmt.Errorf("keep whom calls are sealed to: %w", err)
	}
	return nil
}

// sealTo gives what begins a call file. Without recipients calls are in clear only where somebody has said so.
func (r *recipients) sealTo(c config) (func(call.Header) (*seal.Writer, []call.Record, error), error) {
	if c.Seal.Clear {
		return func(h call.Header) (*seal.Writer, []call.Record, error) { return seal.NewWriter(h, nil) }, nil
	}
	if len(r.current()) == 0 {
		return nil, c.wrong("seal.clear", 0, "nobody is named whom calls are sealed to: put headquarters' recipient (`linekeeper-hq call-key`) into %s; "+
			"or write `clear = true` under [seal], and whoever takes the card can hear the calls on it", filepath.Join(filepath.Dir(r.file), fileRecipients))
	}
	return func(h call.Header) (*seal.Writer, []call.Record, error) { return seal.NewWriter(h, r.current()) }, nil
}

func (r *recipients) current() seal.Recipients {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.to
}

// writeDurably makes a file appear whole, or not at all.
func writeDurably(name string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(name))
}

func syncFolder(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
