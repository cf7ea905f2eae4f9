package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// measure runs the trials, at every seed and by every contender.
func (b *bench) measure(trials []trial) (rows [][]string, err error) {
	for _, t := range trials {
		hits, wrong := make([][]int, len(b.peers)), make([][]int, len(b.peers))
		for seed := range b.seeds {
			pieces := t.signal(uint64(seed + 1))
			for i, c := range b.peers {
				var heard []string
				for _, samples := range pieces {
					more, err := t.hear(c, samples)
					if err != nil {
						return nil, fmt.Errorf("%s: %w", t.what, err)
					}
					heard = append(heard, more...)
				}
				right := inOrder(t.truth, heard)
				hits[i] = append(hits[i], right)
				wrong[i] = append(wrong[i], len(heard)-right)
			}
		}
		row := []string{t.what}
		for i := range b.peers {
			row = append(row, spread(hits[i], len(t.truth), wrong[i]))
		}
		row = append(row, t.reach.String(), verdict(t, hits, wrong))
		fmt.Fprintln(os.Stderr, strings.Join(row, " | "))
		rows = append(rows, row)
	}
	return rows, nil
}

// verdict judges ours, the last.
func verdict(t trial, hits, wrong [][]int) string {
	ours := len(hits) - 1
	met := true
	for seed, n := range hits[ours] {
		switch t.reach {
		case all:
			met = met && n == len(t.truth) && wrong[ours][seed] == 0
		case none:
			met = met && n == 0 && wrong[ours][seed] == 0
		case best:
			for _, peer := range hits[:ours] {
				met = met && n >= peer[seed]
			}
		case record:
			return "-"
		}
	}
	if met {
		return "met"
	}
	return "missed"
}

// spread is what was heard right at the worst and the best seed, of how many; and what was heard that was not there.
func spread(hits []int, of int, wrong []int) string {
	s := fmt.Sprint(slices.Min(hits))
	if most := slices.Max(hits); most != slices.Min(hits) {
		s += fmt.Sprintf(" to %d", most)
	}
	s += fmt.Sprintf(" of %d", of)
	if n := slices.Max(wrong); n > 0 {
		s += fmt.Sprintf(", up to %d wrong", n)
	}
	return s
}

// onlyOurs are the contenders' cells of what the others do not do.
func (b *bench) onlyOurs(cell string) (cells []string) {
	for range len(b.peers) - 1 {
		cells = append(cells, "-")
	}
	return append(cells, cell)
}

// inOrder is how many of what was sent were heard, in their order: the longest common subsequence.
func inOrder(sent, heard []string) int {
	row := make([]int, len(heard)+1)
	for _, s := range sent {
		before := 0
		for j, h := range heard {
			was := row[j+1]
			if s == h {
				row[j+1] = before + 1
			} else {
				row[j+1] = max(row[j+1], row[j])
			}
			before = was
		}
	}
	return row[len(heard)]
}
