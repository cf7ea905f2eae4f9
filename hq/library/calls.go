package library

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

const callColumns = `c.id, l.device, l.site, l.line, c.number, c.stage, c.began, c.grade, c.boot, c.believed, c.believed_grade, c.duration, c.began_by, c.ended_by,
	c.codec, c.channels, c.sides, c.rate, c.gaps, c.recovered, c.short, c.size, c.sha256, c.received, c.via`

// Call gives one call.
func (l *Library) Call(ctx context.Context, id call.ID) (hq.Call, error) {
	c, err := scanCall(l.read.QueryRowContext(ctx,
		`SELECT `+callColumns+` FROM calls c JOIN lines l ON l.n = c.line WHERE c.id = ?`, id.String()))
	return c, wrap(fmt.Sprintf("look up call %s", id), err)
}

// Receipt gives the receipt of a durable call, as signed.
func (l *Library) Receipt(ctx context.Context, id call.ID) (jws string, err error) {
	err = l.read.QueryRowContext(ctx,
		`SELECT r.jws FROM receipts r JOIN calls c ON c.n = r.call WHERE c.id = ?`, id.String()).Scan(&jws)
	return jws, wrap(fmt.Sprintf("look up receipt of call %s", id), err)
}

// Receipts gives the receipts of those of a recorder's calls that are durable, in no order.
func (l *Library) Receipts(ctx context.Context, device call.DeviceID, ids []call.ID) (list []string, err error) {
	wanted, err := json.Marshal(ids)
	if err != nil {
		return nil, fmt.Errorf("look up receipts: %w", err)
	}
	err = each(ctx, l.read, func(rows *sql.Rows) error {
		var jws string
		err := rows.Scan(&jws)
		list = append(list, jws)
		return err
	}, `SELECT r.jws FROM calls c JOIN receipts r ON r.call = c.n JOIN lines l ON l.n = c.line
		WHERE c.id IN (SELECT value FROM json_each(?)) AND l.device = ?`, string(wanted), string(device))
	return list, wrap("look up receipts", err)
}

// Complete notes that a call file is durable, with the receipt that says so.
func (l *Library) Complete(ctx context.Context, a hq.Arrival) error {
	h := a.Header
	return l.change(ctx, fmt.Sprintf("complete call %s", h.Call), func(ctx context.Context, tx *transaction) error {
		n, err := l.updateCall(ctx, tx, h.Call, h.Device, h.Line, func(c *hq.Call) {
			c.Number = h.Number
			believe(c, h.Anchor)
			c.Codec, c.Channels, c.Sides, c.Rate = h.Codec, h.Channels, h.Sides, h.Rate
			if h.Began != "" {
				c.BeganBy = h.Began
			}
			if a.End != nil {
				c.EndedBy, c.Gaps, c.Recovered, c.Short = a.End.Reason, a.End.Gaps, a.End.Recovered, a.End.Short
				c.Duration = seconds(float64(a.End.Frames) / float64(h.Rate))
			}
			c.Stage, c.Size, c.SHA256, c.Received, c.Via = hq.StageDurable, a.Size, a.SHA256, a.Received, a.Via
		})
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO receipts (call, jws) VALUES (?, ?)`, n, a.Receipt)
		return err
	})
}

// updateCall changes a call, which may be new, and gives its row.
func (l *Library) updateCall(ctx context.Context, tx *transaction, id call.ID, device call.DeviceID, line string, change func(*hq.Call)) (int64, error) {
	c, err := scanCall(tx.QueryRowContext(ctx,
		`SELECT `+callColumns+` FROM calls c JOIN lines l ON l.n = c.line WHERE c.id = ?`, id.String()))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		c = hq.Call{ID: id, Device: device}
	case err != nil:
		return 0, err
	case c.Device != device:
		return 0, fmt.Errorf("%w: call %s is of another recorder", hq.ErrRefused, id)
	}
	isNew := err != nil
	change(&c)
	if err := correct(ctx, tx, &c); err != nil {
		return 0, err
	}
	sides, err := json.Marshal(c.Sides)
	if err != nil {
		return 0, err
	}
	gaps, err := json.Marshal(c.Gaps)
	if err != nil {
		return 0, err
	}
	values := []any{c.Number, c.Stage, nanos(c.Began), c.Grade, c.Boot, nanos(c.Believed), c.BelievedGrade, c.Duration, c.BeganBy, c.EndedBy, c.Codec, c.Channels,
		string(sides), c.Rate, string(gaps), c.Recovered, c.Short, c.Size, c.SHA256, nanos(c.Received), c.Via, id.String()}
	var n int64
	if !isNew {
		return n, tx.QueryRowContext(ctx, `UPDATE calls SET number=?, stage=?, began=?, grade=?, boot=?, believed=?, believed_grade=?, duration=?, began_by=?, ended_by=?,
			codec=?, channels=?, sides=?, rate=?, gaps=?, recovered=?, short=?, size=?, sha256=?, received=?, via=? WHERE id=?
			RETURNING n`, values...).Scan(&n)
	}
	at, err := lineOf(ctx, tx, device, line)
	if err != nil {
		return 0, err
	}
	return n, tx.QueryRowContext(ctx, `INSERT INTO calls (number, stage, began, grade, boot, believed, believed_grade, duration, began_by, ended_by, codec,
		channels, sides, rate, gaps, recovered, short, size, sha256, received, via, id, line)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING n`, append(values, at)...).Scan(&n)
}

// lineOf gives the row of a line at the site where its recorder is now.
func lineOf(ctx context.Context, tx *transaction, device call.DeviceID, line string) (n int64, err error) {
	var site string
	err = tx.QueryRowContext(ctx, `SELECT site FROM recorders WHERE device = ?`, string(device)).Scan(&site)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("%w: recorder %s is not known here", hq.ErrRefused, device)
	}
	if err != nil {
		return 0, err
	}
	if _, err = tx.ExecContext(ctx, `INSERT INTO lines (device, line, site) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
		string(device), line, site); err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, `SELECT n FROM lines WHERE device = ? AND line = ? AND site = ?`,
		string(device), line, site).Scan(&n)
	return n, err
}

func scanCall(row scanner) (hq.Call, error) {
	var c hq.Call
	var id, sides, gaps string
	var began, believed, received int64
	err := row.Scan(&id, &c.Device, &c.Site, &c.Line, &c.Number, &c.Stage, &began, &c.Grade, &c.Boot, &believed, &c.BelievedGrade, &c.Duration, &c.BeganBy, &c.EndedBy,
		&c.Codec, &c.Channels, &sides, &c.Rate, &gaps, &c.Recovered, &c.Short, &c.Size, &c.SHA256, &received, &c.Via)
	if err != nil {
		return hq.Call{}, err
	}
	c.Began, c.Believed, c.Received = time.Unix(0, began).UTC(), time.Unix(0, believed).UTC(), moment(received)
	c.ID, err = call.ParseID(id)
	return c, errors.Join(err, json.Unmarshal([]byte(sides), &c.Sides), json.Unmarshal([]byte(gaps), &c.Gaps))
}

// Peaks gives what was kept of a call's waveform; hq.ErrNotFound: nothing.
func (l *Library) Peaks(ctx context.Context, id call.ID) (peaks []byte, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT peaks FROM peaks WHERE call = ?`, id.String()).Scan(&peaks)
	return peaks, wrap(fmt.Sprintf("look up waveform of call %s", id), err)
}

// SavePeaks keeps a call's waveform.
func (l *Library) SavePeaks(ctx context.Context, id call.ID, peaks []byte) error {
	return l.change(ctx, "keep waveform", func(ctx context.Context, tx *transaction) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO peaks (call, peaks) VALUES (?, ?)
			ON CONFLICT (call) DO UPDATE SET peaks = excluded.peaks`, id.String(), peaks)
		return err
	})
}
