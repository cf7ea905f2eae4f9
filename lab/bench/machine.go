package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// describeMachine says on what is measured, and how busy that is already.
func describeMachine(program string) string {
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
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(text), " ")
	}
	return fmt.Sprintf("%s, %d cores, load %s before the start, Linux %s %s, files on %s. %s; %s; %s.", model, runtime.NumCPU(), load,
		unix.ByteSliceToString(u.Release[:]), runtime.GOARCH, words("findmnt", "-n", "-o", "FSTYPE", "-T", "."),
		words(program, "--version"), words("opusenc", "--version"), words("ffmpeg", "-version"))
}

// words is the first line that a program prints, at most its first three words.
func words(args ...string) string {
	out, err := exec.Command(args[0], args[1:]...).Output()
	if err != nil {
		return args[0] + " (not there)"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	all := strings.Fields(line)
	return strings.Join(all[:min(3, len(all))], " ")
}

// measureSize is the recorder's size, as built for this machine, and for arm64 if that was built.
func (b *bench) measureSize() error {
	const limit = 25
	for _, file := range []string{b.program(), filepath.Join(b.bin, "arm64", "linekeeper")} {
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) && file != b.program() {
			b.note("The arm64 build was not there to be measured (`make build-arm64`).")
			continue
		}
		if err != nil {
			return fmt.Errorf("measure the program's size: %w", err)
		}
		program, err := elf.Open(file)
		if err != nil {
			return fmt.Errorf("measure the program's size: %w", err)
		}
		stripped := "stripped"
		if program.Section(".symtab") != nil {
			stripped = "NOT stripped"
		}
		machine := strings.ToLower(strings.TrimPrefix(program.Machine.String(), "EM_"))
		_ = program.Close()
		b.row(row{what: fmt.Sprintf("size of linekeeper, %s, %s", machine, stripped), peer: "-", ours: mib(info.Size()),
			size: float64(info.Size()) / (1 << 20), limit: limit})
	}
	return nil
}
