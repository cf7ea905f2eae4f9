// Package docs holds the documentation against the code.
package docs

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/linekeeper/linekeeper/"

// rooms reads the table of architecture.md: which of our folders each folder may import.
func rooms(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string][]string{}
	for _, row := range strings.Split(string(page), "\n") {
		cells := strings.Split(row, "|")
		if len(cells) != 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		folder := strings.Trim(strings.TrimSpace(cells[1]), "`")
		var may []string
		for _, name := range strings.Split(cells[3], ",") {
			if name = strings.TrimSpace(name); name != "" && name != "none" {
				may = append(may, name)
			}
		}
		table[folder] = may
	}
	return table
}

// packages lists the module's packages with what they import, tests left out.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	list := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		all[strings.TrimPrefix(words[0], module)] = words[1:]
	}
	return all
}

func room(pkg string) string {
	top, _, _ := strings.Cut(pkg, "/")
	return top
}

func TestTableOfRoomsIsTheCode(t *testing.T) {
	table := rooms(t)
	if len(table) < 15 {
		t.Fatalf("read only %d rooms from architecture.md", len(table))
	}
	used := map[string]bool{}
	for pkg, imports := range packages(t) {
		may, known := table[room(pkg)]
		if !known {
			t.Errorf("package %s is in no room of architecture.md", pkg)
		}
		used[room(pkg)] = true
		if len(may) == 1 && may[0] == "everybody" {
			continue
		}
		for _, path := range imports {
			ours, is := strings.CutPrefix(path, module)
			if !is {
				continue
			}
			if !contains(may, room(ours)) {
				t.Errorf("%s imports %s; architecture.md lets %s import %v", pkg, ours, room(pkg), may)
			}
		}
	}
	for folder := range table {
		if _, err := os.Stat("../" + folder); err != nil {
			t.Errorf("architecture.md names the room %s: %v", folder, err)
		}
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, known := table[e.Name()]; e.IsDir() && used[e.Name()] && !known {
			t.Errorf("folder %s is not in architecture.md", e.Name())
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
