package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/proof"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/blob"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/verify"
)

// source is headquarters' library and call files, as verify goes over them. It may be used beside a headquarters that runs.
type source struct {
	library *library.Library
	files   *blob.Store
}

// headquarters is what verify has of the library; it is opened only when it is asked for.
func (o *options) headquarters() proof.Headquarters {
	return proof.Headquarters{
		Library: func(context.Context) (verify.Source, func() error, error) {
			c, err := loadConfig(o.Config)
			if err != nil {
				return nil, nil, err
			}
			if _, err := os.Stat(c.libraryFile()); err != nil {
				return nil, nil, fmt.Errorf("open the library: %w: name headquarters' settings with --config, or the files to verify", err)
			}
			lib, err := library.Open(c.libraryFile(), time.Now)
			if err != nil {
				return nil, nil, err
			}
			return source{lib, blob.Look(filepath.Join(c.Data, "calls"))}, lib.Close, nil
		},
		Authority: func() ([]byte, error) {
			ca, err := o.authority()
			if err != nil {
				return nil, err
			}
			return ca.CertificatePEM(), nil
		},
	}
}

// Ledgers implements verify.Source.
func (s source) Ledgers(ctx context.Context) iter.Seq2[verify.Ledger, error] {
	return func(yield func(verify.Ledger, error) bool) {
		list, err := s.library.Ledgers(ctx)
		for _, one := range list {
			if !yield(verify.Ledger(one), nil) {
				return
			}
		}
		if err != nil {
			yield(verify.Ledger{}, err)
		}
	}
}

// Entries implements verify.Source. It reads them in pages, so that nothing waits for who goes over them.
func (s source) Entries(ctx context.Context, of verify.Ledger, from uint64) iter.Seq2[verify.Line, error] {
	const page = 256
	return func(yield func(verify.Line, error) bool) {
		for more := true; more; {
			list, next, err := s.library.EntriesFrom(ctx, hq.Ledger(of), from, page)
			if err != nil {
				yield(verify.Line{}, err)
				return
			}
			for _, jws := range list {
				if !yield(verify.Line{JWS: jws}, nil) {
					return
				}
			}
			from, more = next, next != 0
		}
	}
}

// Key implements verify.Source: the library has the keys of the recorders that headquarters made known.
func (s source) Key(ctx context.Context, device call.DeviceID) (key ed25519.PublicKey, confirmed bool, err error) {
	r, err := s.library.Recorder(ctx, device)
	if errors.Is(err, hq.ErrNotFound) {
		return nil, false, nil
	}
	return r.Key, true, err
}

// Open implements verify.Source.
func (s source) Open(ctx context.Context, id call.ID) (verify.File, error) {
	f := verify.File{Name: s.files.Path(id)}
	c, err := s.library.Call(ctx, id)
	if err != nil && !errors.Is(err, hq.ErrNotFound) {
		return f, err
	}
	if c.Stage == hq.StageDurable {
		f.Due = verify.DueWhole
	}
	file, err := s.files.Open(ctx, id)
	if errors.Is(err, hq.ErrNotFound) {
		return f, nil
	}
	f.ReadCloser = file
	return f, err
}

// Files implements verify.Source.
func (s source) Files(ctx context.Context) iter.Seq2[verify.Listed, error] {
	return func(yield func(verify.Listed, error) bool) {
		for id, err := range s.files.All() {
			listed := verify.Listed{Call: id}
			if err == nil {
				err = s.describe(ctx, &listed)
			}
			if !yield(listed, err) {
				return
			}
		}
	}
}

// describe adds what the header of the call's file says; nothing where it cannot be read.
func (s source) describe(ctx context.Context, listed *verify.Listed) error {
	file, err := s.files.Open(ctx, listed.Call)
	if errors.Is(err, hq.ErrNotFound) {
		return nil // it was set aside meanwhile
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	h, _, _ := seal.NewReader(file).Unlock(nil)
	listed.Ledger, listed.Number = verify.Ledger{Device: h.Device, Epoch: h.Epoch}, h.Number
	return nil
}
