package figures

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine says on what is measured, and how busy that is already.
func Machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	_ = unix.Uname(&u) // cannot fail with a good pointer
	return fmt.Sprintf("%s, %d cores, load %s before the start, Linux %s %s, files on %s", model, runtime.NumCPU(), Load(),
		unix.ByteSliceToString(u.Release[:]), runtime.GOARCH, Words("findmnt", "-n", "-o", "FSTYPE", "-T", "."))
}

// Load is how many processes have run or waited to run in the last minute, on average.
func Load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	load, _, _ := strings.Cut(string(text), " ")
	return load
}

// Words is the first line that a program prints, at most its first three words.
func Words(args ...string) string {
	out, err := exec.Command(args[0], args[1:]...).Output()
	if err != nil {
		return filepath.Base(args[0]) + " (not there)"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	all := strings.Fields(line)
	return strings.Join(all[:min(3, len(all))], " ")
}
