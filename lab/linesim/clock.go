package linesim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Clock is the time of one simulated card, in place of CLOCK_BOOTTIME: it goes on to the card's next period whenever
// somebody waits for that, as fast as they can hear, but not more than five seconds ahead of what they have Taken. While
// nobody has the card open it stands still, but for Advance.
type Clock struct {
	file string
	mem  []byte
	now  *int64
	took *int64
}

// NewClock makes a clock, in a file, that begins at a time.
func NewClock(file string, begin time.Duration) (*Clock, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("make a simulated card's clock: %w", err)
	}
	c := &Clock{file: file}
	const words = 16 // bytes: the time now, and that of what was taken
	err = f.Truncate(words)
	if err == nil {
		c.mem, err = unix.Mmap(int(f.Fd()), 0, words, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("make a simulated card's clock: %w", err)
	}
	c.now, c.took = (*int64)(unsafe.Pointer(&c.mem[0])), (*int64)(unsafe.Pointer(&c.mem[8]))
	atomic.StoreInt64(c.now, int64(begin))
	c.Taken(begin)
	return c, nil
}

// Now is the time.
func (c *Clock) Now() time.Duration { return time.Duration(atomic.LoadInt64(c.now)) }

// Word is where the time stands, in nanoseconds, in memory that is not Go's. It is there until Close.
func (c *Clock) Word() *int64 { return c.now }

// Taken says that all audio until a time has been heard.
func (c *Clock) Taken(until time.Duration) { atomic.StoreInt64(c.took, int64(until)) }

// Advance lets some time pass.
func (c *Clock) Advance(d time.Duration) {
	c.Taken(time.Duration(atomic.AddInt64(c.now, int64(d))))
}

// Close ends the clock; no card may have it any more.
func (c *Clock) Close() error { return unix.Munmap(c.mem) }
