package library

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

// believe takes over when a call began, as its recorder believed then.
func believe(c *hq.Call, a call.Anchor) {
	c.Boot, c.Believed, c.BelievedGrade = a.BootID, a.Wall, a.Grade
	c.Began, c.Grade = a.Wall, a.Grade
}

// correct brings a call's time to what is known of its recorder's clock.
func correct(ctx context.Context, tx *sql.Tx, c *hq.Call) error {
	c.Began, c.Grade = c.Believed, c.BelievedGrade
	if c.Boot == "" {
		return nil
	}
	var add time.Duration
	var grade call.Grade
	err := tx.QueryRowContext(ctx, `SELECT add_ns, grade FROM corrections WHERE device = ? AND boot = ?`, string(c.Device), c.Boot).
		Scan(&add, &grade)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil && grade.Better(c.BelievedGrade) {
		c.Began, c.Grade = c.Believed.Add(add), grade
	}
	return err
}

// applyCorrection keeps what a clock was off by, if nothing better is known, and corrects the calls of that boot.
func (l *Library) applyCorrection(ctx context.Context, tx *sql.Tx, e call.Entry) error {
	n := e.Correction
	var known call.Grade
	err := tx.QueryRowContext(ctx, `SELECT grade FROM corrections WHERE device = ? AND boot = ?`, string(e.Device), n.BootID).Scan(&known)
	if err == nil && known.Better(n.Grade) {
		return nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO corrections (device, boot, add_ns, grade) VALUES (?, ?, ?, ?)`,
		string(e.Device), n.BootID, int64(n.Add), string(n.Grade)); err != nil {
		return err
	}
	var calls []hq.Call
	err = each(ctx, tx, func(rows *sql.Rows) error {
		c, err := scanCall(rows)
		calls = append(calls, c)
		return err
	}, `SELECT `+callColumns+` FROM calls c JOIN lines l ON l.n = c.line WHERE c.boot = ? AND l.device = ?`, n.BootID, string(e.Device))
	if err != nil {
		return err
	}
	for _, c := range calls {
		if err := correct(ctx, tx, &c); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE calls SET began = ?, grade = ? WHERE id = ?`, nanos(c.Began), string(c.Grade), c.ID.String()); err != nil {
			return err
		}
	}
	return nil
}
