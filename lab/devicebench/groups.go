package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linekeeper/linekeeper/call"
)

// groups are how many bytes of calls were written by each sync of a ring.
type groups map[group]int

// group is a sync, by the place that it wrote to.
type group struct{ segment, generation, page uint32 }

// pages is how many bytes of whole pages a sync must touch for what it wrote of calls, on average.
func (g groups) pages() float64 {
	const page = 4096
	sum := 0.
	for _, bytes := range g {
		sum += math.Ceil(float64(bytes)/page) * page
	}
	return sum / float64(len(g))
}

// readGroups reads the syncs that wrote of some calls from the ring of a disk.
func (b *bench) readGroups(ctx context.Context, disk string, calls []call.ID) (groups, error) {
	dir, err := os.MkdirTemp(b.dir, "ring-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if out, err := exec.CommandContext(ctx, "debugfs", "-R", "rdump /ring "+dir, disk).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("read the ring: %w: %s", err, out)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "ring", "segment-*.lkr"))
	g := groups{}
	for i, file := range files {
		segment, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		g.add(uint32(i), segment, calls)
	}
	if len(g) == 0 {
		return nil, errors.New("the ring holds nothing of the calls that were recorded")
	}
	return g, nil
}

// add takes the records of calls in a segment (docs/format-ring.md). Their IDs are new, so that there is none of an
// earlier use.
func (g groups) add(number uint32, segment []byte, calls []call.ID) {
	const header, alignment = 40, 8
	le := binary.LittleEndian
	for at := 0; at+header <= len(segment); at += alignment {
		head := segment[at : at+header]
		if !strings.HasPrefix(string(head[:4]), "LKR0") || !slices.Contains(calls, call.ID(head[24:])) {
			continue
		}
		g[group{number, le.Uint32(head[8:]), le.Uint32(head[16:]) >> 8}] += int(le.Uint32(head[12:]))
	}
}
