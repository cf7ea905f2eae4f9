package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// Partial opens what has arrived of a call that is not here whole: it is in progress, or on its way, or its recorder has
// never come back. It is the beginning of the call's file, from the way that brought most; hq.ErrNotFound: nothing has
// arrived. The caller closes it.
func (in *Ingest) Partial(_ context.Context, id call.ID) (io.ReadSeekCloser, error) {
	attempts, err := in.attempts(id)
	if err != nil {
		return nil, fmt.Errorf("look for what has arrived of call %s: %w", id, err)
	}
	var best *os.File
	var most int64
	for _, open := range attempts {
		f, err := open()
		if err != nil {
			continue // it was finished, or cleared away, meanwhile
		}
		size, err := f.Seek(0, io.SeekEnd)
		if err != nil || size <= most {
			_ = f.Close() // only read
			continue
		}
		if best != nil {
			_ = best.Close()
		}
		best, most = f, size
	}
	if best == nil {
		return nil, fmt.Errorf("what has arrived of call %s: %w", id, hq.ErrNotFound)
	}
	_, err = best.Seek(0, io.SeekStart)
	return best, err
}

// attempts lists the uploads of a call in the spool, each with what opens its bytes.
func (in *Ingest) attempts(id call.ID) (list []func() (*os.File, error), err error) {
	for _, s := range []spool{in.tus.spool, in.transfers.spool} {
		names, err := s.names(id, "")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			file, err := fileIn(name)
			switch {
			case err != nil || file.Call != id || filepath.Ext(name) == assembled:
			case s == in.tus.spool:
				list = append(list, func() (*os.File, error) { return os.Open(filepath.Join(s.of(id), name)) })
			default:
				list = append(list, func() (*os.File, error) { return in.transfers.beginning(file) })
			}
		}
	}
	return list, nil
}

// beginning puts the segments of a transfer that adjoin each other, from the first, into a file without a name.
func (t *transfers) beginning(file wire.FileID) (_ *os.File, err error) {
	defer t.busy.lock(file)()
	have, err := t.load(file)
	if err != nil {
		return nil, err
	}
	log, err := os.Open(t.path(file))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	out, err := os.CreateTemp("", "linekeeper-partial-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.Close())
		}
	}()
	if err := os.Remove(out.Name()); err != nil { // it ends when it is closed
		return nil, err
	}
	for at := int64(0); ; {
		e, ok := have.segments[at]
		if !ok {
			return out, nil
		}
		if _, err := io.Copy(out, io.NewSectionReader(log, e.at, e.length)); err != nil {
			return nil, err
		}
		at += e.length
	}
}

// abandoned says whether an upload that nobody has gone on with for long may be forgotten: all there is of a call is kept
// until the call is here.
func (in *Ingest) abandoned(ctx context.Context, name string) bool {
	file, err := fileIn(name)
	if err != nil {
		return true
	}
	known, err := in.cfg.Library.Call(ctx, file.Call)
	return errors.Is(err, hq.ErrNotFound) || err == nil && known.Stage == hq.StageDurable
}
