package clock

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is also the program whose clock is shifted: it says the time whenever it is asked.
func TestMain(m *testing.M) {
	if os.Getenv("SHIFTED_CLOCK") == "" {
		os.Exit(m.Run())
	}
	_, _ = net.LookupPort("tcp", "http") // which links this program to libc
	begin := time.Now()
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		_, err := unix.Adjtimex(new(unix.Timex))
		fmt.Println(time.Now().UnixNano(), time.Since(begin).Nanoseconds(), errors.Is(err, unix.EPERM))
	}
}

func TestShift(t *testing.T) {
	c, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), c.Env()...)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(out)
	begin := time.Now()
	for _, by := range []time.Duration{0, time.Hour, -time.Hour, -40 * 365 * 24 * time.Hour, 1500 * time.Millisecond, -1500 * time.Millisecond, 0} {
		if err := c.Shift(by); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintln(in); err != nil {
			t.Fatal(err)
		}
		var wall, since int64
		var refused bool
		if _, err := fmt.Fscan(said, &wall, &since, &refused); err != nil {
			t.Fatal(err)
		}
		if off := time.Unix(0, wall).Sub(time.Now().Add(by)).Abs(); off > time.Second {
			t.Errorf("shifted by %v it is %v off", by, off)
		}
		if !refused {
			t.Error("it is told whether the clock is synchronised")
		}
		if d := time.Duration(since); d < 0 || d > time.Since(begin)+time.Second {
			t.Errorf("shifted by %v its monotonic clock says %v", by, d)
		}
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
