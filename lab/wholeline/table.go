package main

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// table is Markdown that can be read as it is; the first row is its head.
func table(rows [][]string) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], 3, utf8.RuneCountInString(cell))
		}
	}
	var rule []string
	for _, w := range width {
		rule = append(rule, strings.Repeat("-", w))
	}
	var t strings.Builder
	for _, row := range slices.Insert(slices.Clone(rows), 1, rule) {
		for i, cell := range row {
			t.WriteString("| " + cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+1))
		}
		t.WriteString("|\n")
	}
	return t.String()
}
