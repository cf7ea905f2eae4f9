package settings

import (
	"fmt"
	"os"
	"strings"
)

// Wrong is an *Error about the value of a key, with the line it stands at (or the line of its table, or none). Of an
// array of tables the index-th is meant, from 0; other tables have index 0.
func Wrong(file, key string, index int, format string, args ...any) error {
	return &Error{File: file, Line: locate(file, key, index), Reason: fmt.Sprintf("key %q: ", key) + fmt.Sprintf(format, args...)}
}

// locate finds a dotted key by reading the file's lines: tables stand on lines of their own in a settings file.
func locate(file, key string, index int) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	table, leaf := "", key
	if dot := strings.LastIndexByte(key, '.'); dot >= 0 {
		table, leaf = key[:dot], key[dot+1:]
	}
	here, seen, found := "", -1, 0
	if table == "" {
		seen = 0
	}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			here = strings.Trim(strings.SplitN(line, "#", 2)[0], "[] \t")
			if here == table {
				if seen++; seen == index {
					found = i + 1
				}
			}
			continue
		}
		name, _, assigned := strings.Cut(line, "=")
		if assigned && here == table && seen == index && strings.TrimSpace(name) == leaf {
			return i + 1
		}
	}
	return found
}
