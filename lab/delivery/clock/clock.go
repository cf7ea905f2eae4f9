// Package clock sets the wall clock of a single program, while it runs, without touching the machine's:
//
//	c, err := clock.New(folder)             // needs a C compiler, as cgo does
//	cmd.Env = append(os.Environ(), c.Env()...)
//	err = c.Shift(-24 * time.Hour)          // from now on, for the program and who else has c's Env
//
// To the program the machine's clock is one that nobody synchronises. The program is the real one, dynamically linked (as with cgo). What the kernel says of files is not shifted, nor is
// the monotonic clock, as when somebody sets a clock.
package clock

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

//go:embed preload/shift.c
var source []byte

// Clock is a shift.
type Clock struct{ library, file string }

// New makes a clock that is right.
func New(folder string) (*Clock, error) {
	c := &Clock{library: filepath.Join(folder, "shift.so"), file: filepath.Join(folder, "shift")}
	text := filepath.Join(folder, "shift.c")
	if err := os.WriteFile(text, source, 0o600); err != nil {
		return nil, fmt.Errorf("make a clock: %w", err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", c.library, text).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a clock: gcc: %w\n%s", err, out)
	}
	return c, os.WriteFile(c.file, make([]byte, 8), 0o600)
}

// Env is for the program.
func (c *Clock) Env() []string {
	return []string{"LD_PRELOAD=" + c.library, "SHIFTED_CLOCK=" + c.file}
}

// Shift sets by how much the clock is wrong, at once.
func (c *Clock) Shift(by time.Duration) error {
	f, err := os.OpenFile(c.file, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("shift a clock: %w", err)
	}
	_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(by)), 0) // programs have it mapped
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return fmt.Errorf("shift a clock: %w", err)
	}
	return nil
}
