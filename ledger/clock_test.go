package ledger_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
)

// TestCorrectedAsThePageSays takes the corrections of docs/format-ledger.md in any order, and has them correct the moments
// that the page lists.
func TestCorrectedAsThePageSays(t *testing.T) {
	entries, moments := pageTables(t)
	for n := range len(entries) {
		order := append(append([]call.Entry{}, entries[n:]...), entries[:n]...)
		counts := map[string]call.Entry{}
		for _, e := range order {
			boot := e.Correction.BootID
			if known, ok := counts[boot]; !ok || ledger.Outranks(e, known) {
				counts[boot] = e
			}
		}
		for _, m := range moments {
			wall, grade, by := m.at.Wall, m.at.Grade, uint64(0)
			if e, ok := counts[m.at.BootID]; ok {
				var corrected bool
				if wall, grade, corrected = ledger.Corrected(m.at, *e.Correction); corrected {
					by = e.Number
				}
			}
			if !wall.Equal(m.wall) || grade != m.grade || by != m.by {
				t.Errorf("%+v is %s by %s, of entry %d; want %+v", m.at, wall, grade, by, m)
			}
		}
	}
	if len(entries) < 4 || len(moments) < 4 {
		t.Errorf("the page has %d corrections and %d moments", len(entries), len(moments))
	}
}

// moment is a row of the page's second table.
type moment struct {
	at    call.Anchor
	wall  time.Time
	grade call.Grade
	by    uint64
}

// pageTables reads the tables of the page's section on clocks.
func pageTables(t *testing.T) (entries []call.Entry, moments []moment) {
	t.Helper()
	page, err := os.ReadFile("../docs/format-ledger.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Clocks\n")
	section, _, _ = strings.Cut(section, "\n## ")
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	at := func(s string) time.Time {
		w, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	table := ""
	for line := range strings.Lines(section) {
		row := strings.Split(strings.Trim(strings.TrimSpace(line), "| "), " | ")
		switch {
		case len(row) == 1 || strings.HasPrefix(row[0], "---"):
		case row[0] == "number" || row[0] == "boot":
			table = row[0]
		case table == "number":
			entries = append(entries, call.Entry{Number: uint64(number(row[0])), Type: call.EntryCorrection,
				Anchor:     call.Anchor{BootID: row[1], BootTime: time.Duration(number(row[2]))},
				Correction: &call.Correction{BootID: row[1], Add: time.Duration(number(row[3])), Grade: call.Grade(row[4])}})
		default:
			m := moment{at: call.Anchor{BootID: row[0], Wall: at(row[1]), Grade: call.Grade(row[2])}, wall: at(row[3])}
			grade, by, corrected := strings.Cut(row[4], ", entry ")
			if m.grade = call.Grade(grade); corrected {
				m.by = uint64(number(by))
			}
			moments = append(moments, m)
		}
	}
	return entries, moments
}
