package courier

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/linekeeper/linekeeper/wire"
)

// reserve is what stays free on a stick, in bytes: for folders that grow, and for headquarters' receipts.
const reserve = 1 << 20

// cluster is by how much a file may take more room than it has bytes.
const cluster = 64 << 10

// putCalls puts down the call files that are not there yet.
func (v *visit) putCalls(ctx context.Context) error {
	p := Progress{Calls: len(v.index.Calls)}
	for _, c := range v.index.Calls {
		if !v.there(c) {
			p.Bytes += c.Size
		}
	}
	for i, c := range v.index.Calls {
		p.Call = i + 1
		v.progress(p)
		if v.there(c) {
			v.done.There++
			continue
		}
		wrote, err := v.putCall(ctx, c, func(n int) {
			p.Written += int64(n)
			v.progress(p)
		})
		if err != nil {
			return err
		}
		if wrote {
			v.done.Written++
			v.done.Bytes += c.Size
			v.stand[c.Call], v.meant[c.Call] = c.Size, c.SHA256
		}
	}
	if len(v.again) > 0 {
		return v.stick.Remove(v.in(wire.CourierAgain)) // all of it is written again, or waits no more
	}
	return nil
}

// there says whether a call file stands on the stick as it is to be. Its size alone does not say so: a call that was damaged
// on the recorder's card keeps its size.
func (v *visit) there(c wire.CourierCall) bool {
	return v.stand[c.Call] == c.Size && v.meant[c.Call] == c.SHA256 && !v.again[c.Call]
}

// putCall puts down one call file and reads it back. Its error is of the stick as a whole.
func (v *visit) putCall(ctx context.Context, c wire.CourierCall, wrote func(n int)) (bool, error) {
	room, err := v.stick.Room()
	switch need := c.Size + cluster + reserve; {
	case err != nil:
		return false, err
	case c.Size > room.Largest:
		return false, v.leave(c, fmt.Sprintf("it has %d bytes, and %s takes no file of more than %d: format the stick as exFAT", c.Size, room.System, room.Largest))
	case len(v.stand) >= wire.MaxCourierFiles:
		return false, v.leave(c, fmt.Sprintf("the stick holds %d calls already: have headquarters import it first", len(v.stand)))
	case need > room.Free:
		v.done.NoRoom++
		v.done.Missing += c.Size
		return false, nil
	}
	file, err := v.recorder.Call(ctx, c.Call)
	if err != nil {
		return false, v.stay(ctx, c, err)
	}
	defer file.Close()
	name := v.in(wire.CourierCalls, wire.CourierCallFile(c.Call))
	sum := &counter{Hash: sha256.New(), wrote: wrote}
	source := &source{Reader: io.LimitReader(file, c.Size+1)}
	err = v.stick.Publish(name, func(w io.Writer) error {
		if _, err := io.CopyBuffer(w, io.TeeReader(source, sum), make([]byte, 256<<10)); err != nil {
			return err
		}
		if sum.n != c.Size || hex.EncodeToString(sum.Sum(nil)) != c.SHA256 {
			source.err = errors.New("the recorder gave other bytes than its manifest says: it was released, or amended, meanwhile")
		}
		return source.err
	})
	switch {
	case source.err != nil:
		return false, v.stay(ctx, c, source.err)
	case err != nil:
		return false, err
	}
	return true, v.readBack(c, name)
}

// readBack compares what the stick has kept with what was written: some forget, and some pretend to be larger than they are.
func (v *visit) readBack(c wire.CourierCall, name string) error {
	f, _, err := v.stick.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err = io.Copy(sum, io.LimitReader(f, c.Size+1)); err == nil && hex.EncodeToString(sum.Sum(nil)) != c.SHA256 {
		err = errors.New("it does not keep what is written to it: it is worn out, or smaller than it says; take another")
	}
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("read back call %s from the stick: %w", c.Call, err), v.stick.Remove(name))
}

// stay notes why a call stayed where the recorder, and not the stick, is why; when the visit is to end it gives that error.
func (v *visit) stay(ctx context.Context, c wire.CourierCall, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return v.leave(c, err.Error())
}

func (v *visit) leave(c wire.CourierCall, reason string) error {
	v.done.Left = append(v.done.Left, Left{c.Call, reason})
	return nil
}

// counter hashes and counts what goes by.
type counter struct {
	hash.Hash
	n     int64
	wrote func(n int)
}

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	c.wrote(len(b))
	return c.Hash.Write(b)
}

// source remembers that it was the recorder that failed, and not the stick.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
