package main

import (
	"context"
	_ "embed"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/lab/bench/figures"
)

//go:embed bare.c
var bareSource string

// The recorder's defaults, which every encoder that it is measured beside gets too.
const (
	bits       = 16000
	complexity = 5
)

// bare is a loop around libopus that does nothing else.
type bare struct{ program string }

func compileBare(ctx context.Context, dir string) (bare, error) {
	b := bare{filepath.Join(dir, "bare")}
	cmd := exec.CommandContext(ctx, "gcc", "-O2", "-Wall", "-x", "c", "-o", b.program, "-", "-lopus")
	cmd.Stdin = strings.NewReader(bareSource)
	if out, err := cmd.CombinedOutput(); err != nil {
		return b, fmt.Errorf("compile bare libopus (it needs gcc and libopus-dev: make deps): %w\n%s", err, out)
	}
	return b, nil
}

func (b bare) command(file string) []string {
	return []string{b.program, file, strconv.Itoa(rate), strconv.Itoa(bits), strconv.Itoa(complexity)}
}

// encode encodes a file of raw samples and says what an hour of them costs. The last frames that fill no packet are
// left out.
func (b bare) encode(ctx context.Context, file string, frames int64) (time.Duration, error) {
	r, err := run(ctx, b.command(file)...)
	if err != nil {
		return 0, err
	}
	var encoded, bytes int64
	if _, err := fmt.Sscan(string(r.out), &encoded, &bytes); err != nil {
		return 0, fmt.Errorf("read what bare libopus prints: %w", err)
	}
	if packet := int64(rate / 50); encoded != frames/packet*packet || bytes == 0 {
		return 0, fmt.Errorf("bare libopus encoded %d frames to %d bytes, of %d frames that were recorded", encoded, bytes, frames)
	}
	return figures.PerHour(r.cpu, mono.Duration(encoded)), nil
}
