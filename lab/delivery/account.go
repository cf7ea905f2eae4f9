package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/blob"
	"github.com/linekeeper/linekeeper/hq/library"
)

// finding is what the account gave.
type finding struct {
	calls                  int
	lost, doubled, altered int
	verified               string
	red                    bool
	details                []string
}

func (f *finding) broken() bool { return f.lost+f.doubled+f.altered > 0 || f.red }

func (f *finding) note(format string, args ...any) {
	if len(f.details) < 20 {
		f.details = append(f.details, fmt.Sprintf(format, args...))
	}
}

// account holds what headquarters has against what the rings held.
func (d *delivery) account(ctx context.Context) (*finding, error) {
	lib, err := library.Open(filepath.Join(d.head.Dir, "library.db"), time.Now)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lib.Close() }() // only read
	rows, err := allRows(ctx, lib)
	if err != nil {
		return nil, err
	}
	files := map[call.ID]bool{}
	store := blob.Look(filepath.Join(d.head.Dir, "calls"))
	for id, err := range store.All() {
		if err != nil {
			return nil, err
		}
		files[id] = true
	}
	f := &finding{}
	for n, o := range d.offices {
		for _, id := range o.calls {
			f.calls++
			if err := f.check(d, fmt.Sprintf("recorder %d, call %s", n, id), id, rows[id], store.Path(id)); err != nil {
				return nil, err
			}
			delete(rows, id)
			delete(files, id)
		}
	}
	for id := range rows {
		f.doubled++
		f.note("headquarters has a call %s that no recorder had", id)
	}
	for id := range files {
		f.doubled++
		f.note("headquarters has a file of a call %s that no recorder had", id)
	}
	return f, f.verify(ctx, d.head)
}

// check compares one call, byte by byte, with what its ring held.
func (f *finding) check(d *delivery, name string, id call.ID, rows []hq.Call, file string) error {
	switch {
	case len(rows) == 0 || rows[0].Stage != hq.StageDurable:
		f.lost++
		f.note("%s is not at headquarters", name)
		return nil
	case len(rows) > 1 || d.head.arrived[id.String()] > 1:
		f.doubled++
		f.note("%s has %d rows, and arrived %d times", name, len(rows), d.head.arrived[id.String()])
	}
	want, err := os.ReadFile(filepath.Join(d.dir, "copies", id.String()))
	if err != nil {
		return err
	}
	got, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		f.lost++
		f.note("%s has no file at headquarters", name)
		return nil
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(want, got) {
		f.altered++
		f.note("%s: %d bytes, and the ring held %d others", name, len(got), len(want))
	}
	return nil
}

// allRows is the whole library.
func allRows(ctx context.Context, lib *library.Library) (map[call.ID][]hq.Call, error) {
	rows := map[call.ID][]hq.Call{}
	for q := (hq.Query{Limit: 500}); ; {
		page, next, err := lib.Calls(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, c := range page {
			rows[c.ID] = append(rows[c.ID], c)
		}
		if next == nil {
			return rows, nil
		}
		q.Before = next
	}
}

// verify asks headquarters' own verify.
func (f *finding) verify(ctx context.Context, h *head) error {
	out, err := exec.CommandContext(ctx, h.Program, "verify", "--json", "--config", h.Config).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	var report struct {
		Colour   string
		Findings []struct{ Colour, Code, Text string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return fmt.Errorf("read what verify says: %w: %s", err, out)
	}
	f.verified, f.red = report.Colour, report.Colour != "green"
	for _, x := range report.Findings {
		f.note("verify: %s %s: %s", x.Colour, x.Code, x.Text)
	}
	return nil
}
