package library

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

const (
	defaultLimit = 50
	maxLimit     = 1000

	// perLine is up to how many lines a search is made of one list a line. Beyond that the list of all calls is gone
	// through, of which so many lines soon fill a page.
	perLine = 200

	// minPrefix is the least of a call ID that finds it: less would find calls at random.
	minPrefix = 4
)

// Calls answers a query, newest first, with the place after the last one given; nil: there are no more. Each word of
// the text has to stand in the site, the line or the device, in any case of letters; or the text is the beginning of a
// call ID.
//
// What it costs depends on the length of the page and not on the number of calls: sites and lines are few and are
// searched first; their calls then come from an index in the order of the list.
func (l *Library) Calls(ctx context.Context, q hq.Query) ([]hq.Call, *hq.Cursor, error) {
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	q.Limit = min(q.Limit, maxLimit)
	list, err := l.find(ctx, q)
	if err != nil {
		return nil, nil, wrap("list calls", err)
	}
	if len(list) <= q.Limit {
		return list, nil, nil
	}
	last := list[q.Limit-1]
	return list[:q.Limit], &hq.Cursor{Began: last.Began, ID: last.ID}, nil
}

// find gives at most one call more than the limit.
func (l *Library) find(ctx context.Context, q hq.Query) ([]hq.Call, error) {
	lines, all, err := l.matchLines(ctx, q)
	if err != nil {
		return nil, err
	}
	where, args := span(q)
	limit := q.Limit + 1
	const page = ` ORDER BY c.began DESC, c.id DESC LIMIT ?`
	from := `SELECT ` + callColumns + ` FROM calls c INDEXED BY calls_newest JOIN lines l ON l.n = c.line WHERE ` + where
	switch {
	case all:
		return l.scanCalls(ctx, from+page, append(args, limit)...)
	case len(lines) > perLine:
		return l.scanCalls(ctx, from+` AND c.line IN (SELECT value FROM json_each(?))`+page, append(args, asJSON(lines), limit)...)
	}
	lower, upper := idRange(q.Text)
	inner := `SELECT m.n FROM json_each(?) AS j, calls m WHERE m.n IN (
			SELECT c.n FROM calls c INDEXED BY calls_of_line WHERE c.line = j.value AND ` + where + page + `)
		UNION SELECT c.n FROM calls c JOIN lines l ON l.n = c.line WHERE c.id >= ? AND c.id < ? AND ` + where
	values := append([]any{asJSON(lines)}, args...)
	values = append(values, limit, lower, upper)
	values = append(values, args...)
	for _, exact := range []struct{ column, value string }{{"l.site", q.Site}, {"l.line", q.Line}} {
		if exact.value != "" {
			inner += ` AND ` + exact.column + ` = ?`
			values = append(values, exact.value)
		}
	}
	return l.scanCalls(ctx, `SELECT `+callColumns+` FROM calls c JOIN lines l ON l.n = c.line WHERE c.n IN (`+inner+`)`+page,
		append(values, limit)...)
}

// span is the condition on times and place in the list.
func span(q hq.Query) (where string, args []any) {
	where = `1`
	if !q.From.IsZero() {
		where, args = where+` AND c.began >= ?`, append(args, nanos(q.From))
	}
	if !q.To.IsZero() {
		where, args = where+` AND c.began < ?`, append(args, nanos(q.To))
	}
	if q.Before != nil {
		where, args = where+` AND (c.began, c.id) < (?, ?)`, append(args, nanos(q.Before.Began), q.Before.ID.String())
	}
	return where, args
}

// matchLines gives the lines that a query asks for; all: every one.
func (l *Library) matchLines(ctx context.Context, q hq.Query) (lines []int64, all bool, err error) {
	words := strings.Fields(strings.ToLower(q.Text))
	if len(words) == 0 && q.Site == "" && q.Line == "" {
		return nil, true, nil
	}
	lines = []int64{} // [] in JSON
	err = each(ctx, l.read, func(rows *sql.Rows) error {
		var n int64
		var device, line, site string
		if err := rows.Scan(&n, &device, &line, &site); err != nil {
			return err
		}
		if q.Site != "" && site != q.Site || q.Line != "" && line != q.Line {
			return nil
		}
		text := strings.ToLower(site + "\n" + line + "\n" + device)
		for _, word := range words {
			if !strings.Contains(text, word) {
				return nil
			}
		}
		lines = append(lines, n)
		return nil
	}, `SELECT n, device, line, site FROM lines`)
	return lines, false, err
}

// idRange is the range of call IDs that begin with the text: empty where it is not the beginning of one.
func idRange(text string) (lower, upper string) {
	prefix := strings.ToUpper(strings.TrimSpace(text))
	length := len(call.ID{}.String())
	if len(prefix) < minPrefix || len(prefix) > length || strings.Trim(prefix, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "" {
		return "", ""
	}
	return prefix, prefix + "[" // which sorts after every letter
}

func (l *Library) scanCalls(ctx context.Context, query string, args ...any) (list []hq.Call, err error) {
	err = each(ctx, l.read, func(rows *sql.Rows) error {
		c, err := scanCall(rows)
		list = append(list, c)
		return err
	}, query, args...)
	return list, err
}

func asJSON(v []int64) string {
	b, _ := json.Marshal(v) // numbers always can be
	return string(b)
}
