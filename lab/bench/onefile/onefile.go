// Package onefile keeps calls as most programs would: one file a call, to which each second is appended and synced. The
// recorder's writes are measured beside it.
package onefile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Writer is one that runs.
type Writer struct {
	stop context.CancelFunc
	done sync.WaitGroup
	err  error
}

// Start begins to write, in a folder, the calls of so many lines, to each of which so many bytes are appended each second.
func Start(dir string, lines, perSecond int) (*Writer, error) {
	var files []*os.File
	for i := range lines {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("call%d.opus", i)))
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writer{stop: cancel}
	w.done.Go(func() { w.err = writeFiles(ctx, files, make([]byte, perSecond)) })
	return w, nil
}

func writeFiles(ctx context.Context, files []*os.File, media []byte) (err error) {
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := appendTo(files, media); err != nil {
			return err
		}
	}
}

func appendTo(files []*os.File, media []byte) error {
	for _, f := range files {
		if _, err := f.Write(media); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the writing and says whether it went well.
func (w *Writer) Close() error {
	w.stop()
	w.done.Wait()
	return w.err
}
