package library

import (
	"context"
	"database/sql"
	"errors"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/ledger"
)

// believe takes over when a call began, as its recorder believed then.
func believe(c *hq.Call, a call.Anchor) {
	c.Boot, c.Believed, c.BelievedGrade = a.BootID, a.Wall, a.Grade
	c.Began, c.Grade = a.Wall, a.Grade
}

// correct brings a call's time to what is known of its recorder's clock.
func correct(ctx context.Context, tx *transaction, c *hq.Call) error {
	c.Began, c.Grade = c.Believed, c.BelievedGrade
	if c.Boot == "" {
		return nil
	}
	e, err := correction(ctx, tx, c.Device, c.Boot)
	if err != nil || e == nil {
		return err
	}
	c.Began, c.Grade, _ = ledger.Corrected(call.Anchor{BootID: c.Boot, Wall: c.Believed, Grade: c.BelievedGrade}, *e.Correction)
	return nil
}

// correction gives the correction of a boot that counts, as far as it is kept; nil: there is none.
func correction(ctx context.Context, tx *transaction, device call.DeviceID, boot string) (*call.Entry, error) {
	e := call.Entry{Type: call.EntryCorrection, Device: device, Anchor: call.Anchor{BootID: boot}, Correction: &call.Correction{BootID: boot}}
	err := tx.QueryRowContext(ctx, `SELECT add_ns, grade, boot_time, number FROM corrections WHERE device = ? AND boot = ?`, string(device), boot).
		Scan(&e.Correction.Add, &e.Correction.Grade, &e.Anchor.BootTime, &e.Number)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &e, err
}

// applyCorrection keeps what a clock was off by, if nothing better is known, and corrects the calls of that boot.
func (l *Library) applyCorrection(ctx context.Context, tx *transaction, e call.Entry) error {
	n := e.Correction
	known, err := correction(ctx, tx, e.Device, n.BootID)
	if err != nil || known != nil && !ledger.Outranks(e, *known) {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO corrections (device, boot, add_ns, grade, boot_time, number) VALUES (?, ?, ?, ?, ?, ?)`,
		string(e.Device), n.BootID, int64(n.Add), string(n.Grade), int64(e.Anchor.BootTime), int64(e.Number)); err != nil {
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
