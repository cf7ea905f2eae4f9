package buffer

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// card is a file system in memory with a cache that loses power: what was written and not synced is kept in part, to
// within a sector; folder operations that were not synced are kept up to some point. A failed sync forgets what was
// dirty, as Linux does.
type card struct {
	mu    sync.Mutex
	rng   *rand.Rand
	names map[string]*inode // as programs see them
	saved map[string]*inode // as they would be after a cut
	log   []func(map[string]*inode)

	ops     int  // changing calls so far
	failAt  int  // the call that fails, once
	cutAt   int  // the call in the middle of which power goes
	off     bool // power is gone
	written int64
	syncs   int
	reads   int64
	full    bool // no room for another file
	lockErr error

	unreadable func(n *inode, from, to int64) bool // reads that fail; nil: none
	hung       chan struct{}                       // syncs wait for it; nil: they do not
}

type inode struct {
	view  []byte
	disk  []byte
	dirty []span
}

type span struct {
	at   int64
	data []byte
}

var errPower = errors.New("power is gone")

func newCard(seed uint64) *card {
	return &card{rng: rand.New(rand.NewPCG(seed, 1)), names: map[string]*inode{}, saved: map[string]*inode{}}
}

// op counts a changing call and says whether it fails.
func (c *card) op() (err error) {
	if c.off {
		return errPower
	}
	c.ops++
	switch c.ops {
	case c.failAt:
		return errIO
	case c.cutAt:
		c.off = true
		return errPower
	}
	return nil
}

// settle puts some of the dirty sectors of a file on the disk.
func (c *card) settle(n *inode) {
	for _, w := range n.dirty {
		for i := 0; i < len(w.data); {
			end := min(i+512-int(w.at+int64(i))%512, len(w.data))
			part := w.data[i:end]
			switch c.rng.IntN(8) {
			case 0, 1, 2:
			case 3: // torn within
				part = part[:c.rng.IntN(len(part)+1)]
				fallthrough
			default:
				n.disk = put(n.disk, part, w.at+int64(i))
			}
			i = end
		}
	}
	n.dirty = nil
}

func put(b, data []byte, at int64) []byte {
	if end := int(at) + len(data); end > len(b) {
		b = append(b, make([]byte, end-len(b))...)
	}
	copy(b[at:], data)
	return b
}

// cut takes the power away and gives the card as it is found afterwards.
func (c *card) cut() *card {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range c.rng.IntN(len(c.log) + 1) {
		c.log[0](c.saved)
		c.log = c.log[1:]
	}
	after := newCard(c.rng.Uint64())
	for name, n := range c.saved {
		c.settle(n)
		after.names[name] = &inode{view: slices.Clone(n.disk), disk: slices.Clone(n.disk)}
	}
	for name, n := range after.names {
		after.saved[name] = n
	}
	c.off = true
	return after
}

// clone gives another card with the same on it.
func (c *card) clone() *card {
	after := newCard(1)
	for name, n := range c.names {
		after.names[name] = &inode{view: slices.Clone(n.disk), disk: slices.Clone(n.disk)}
		after.saved[name] = after.names[name]
	}
	return after
}

func (c *card) change(f func(map[string]*inode)) {
	f(c.names)
	c.log = append(c.log, f)
}

func (c *card) Open(name string) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.names[name]
	if n == nil {
		return nil, os.ErrNotExist
	}
	return &memFile{c, n}, nil
}

func (c *card) Create(name string) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op(); err != nil {
		return nil, err
	}
	n := &inode{}
	c.change(func(m map[string]*inode) { m[name] = n })
	return &memFile{c, n}, nil
}

func (c *card) Rename(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op(); err != nil {
		return err
	}
	if c.names[from] == nil {
		return os.ErrNotExist
	}
	c.change(func(m map[string]*inode) { m[to] = m[from]; delete(m, from) })
	return nil
}

func (c *card) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op(); err != nil {
		return err
	}
	c.change(func(m map[string]*inode) { delete(m, name) })
	return nil
}

func (c *card) List(folder string) (names []string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.names {
		if filepath.Dir(name) == folder {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (c *card) SyncFolder(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op(); err != nil {
		return err
	}
	for _, f := range c.log {
		f(c.saved)
	}
	c.log = nil
	return nil
}

func (c *card) Lock(string) (io.Closer, error) {
	return io.NopCloser(strings.NewReader("")), c.lockErr
}

type memFile struct {
	c *card
	n *inode
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.c.off {
		return 0, errPower
	}
	if f.c.unreadable != nil && f.c.unreadable(f.n, off, off+int64(len(b))) {
		return 0, errIO
	}
	if off >= int64(len(f.n.view)) {
		return 0, io.EOF
	}
	n := copy(b, f.n.view[off:])
	f.c.reads += int64(n)
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.c.off {
		return 0, errPower
	}
	err := f.c.op()
	if err != nil {
		b = b[:f.c.rng.IntN(len(b)+1)]
	}
	f.c.written += int64(len(b))
	f.n.view = put(f.n.view, b, off)
	f.n.dirty = append(f.n.dirty, span{off, slices.Clone(b)})
	return len(b), err
}

func (f *memFile) Sync() error {
	if f.c.hung != nil {
		<-f.c.hung
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.c.op(); err != nil {
		if !f.c.off { // some of it got there, and the rest is never tried again
			f.c.settle(f.n)
			if f.c.rng.IntN(2) == 0 {
				f.n.view = slices.Clone(f.n.disk)
			}
		}
		return err
	}
	f.c.syncs++
	for _, w := range f.n.dirty {
		f.n.disk = put(f.n.disk, w.data, w.at)
	}
	f.n.dirty = nil
	return nil
}

func (f *memFile) Allocate(size int64) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.c.op(); err != nil {
		return err
	}
	if f.c.full {
		return syscall.ENOSPC
	}
	f.n.view = put(f.n.view, nil, size)
	f.n.disk = put(f.n.disk, nil, size)
	return nil
}

func (f *memFile) Forget() {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if len(f.n.dirty) == 0 {
		f.n.view = slices.Clone(f.n.disk)
	}
}

func (f *memFile) Size() (int64, error) { return int64(len(f.n.view)), nil }
func (f *memFile) Close() error         { return nil }

var errIO = syscall.EIO
