package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/linekeeper/linekeeper/lab/bench/figures"
)

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
		b.row(figures.Row{What: fmt.Sprintf("size of linekeeper, %s, %s", machine, stripped), Peer: "-", Ours: figures.MiB(info.Size()),
			Value: float64(info.Size()) / (1 << 20), Unit: "MiB", Limit: limit})
	}
	return nil
}
