package library

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

// ConflictError says that a recorder sent other bytes under the number of an entry that is already here. It is an
// hq.ErrRefused: one of the two is false, and what was receipted stays.
type ConflictError struct {
	Device call.DeviceID
	Epoch  call.Epoch
	Number uint64
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("entry %d of epoch %s of recorder %s is already here with other bytes", e.Number, e.Epoch, e.Device)
}

// Unwrap gives hq.ErrRefused.
func (e *ConflictError) Unwrap() error { return hq.ErrRefused }

// AddEntries keeps entries of a ledger, all of them or none, and brings the calls that they speak of up to date. Those
// that are already here are passed over; *ConflictError where one differs.
func (l *Library) AddEntries(ctx context.Context, entries []call.SignedEntry) error {
	return l.change(ctx, "add entries", func(ctx context.Context, tx *transaction) error {
		for _, e := range entries {
			added, err := l.addEntry(ctx, tx, e)
			if err == nil && added {
				err = l.apply(ctx, tx, e.Entry)
			}
			if err != nil {
				return fmt.Errorf("entry %d: %w", e.Number, err)
			}
		}
		if len(entries) == 0 {
			return nil
		}
		return advance(ctx, tx, entries[0].Device, entries[0].Epoch)
	})
}

func (l *Library) addEntry(ctx context.Context, tx *transaction, e call.SignedEntry) (added bool, err error) {
	if e.Number == 0 || e.Number > math.MaxInt64 {
		return false, fmt.Errorf("%w: entries are numbered from 1 to %d", hq.ErrRefused, math.MaxInt64)
	}
	var have []byte
	err = tx.QueryRowContext(ctx, `SELECT jws FROM entries WHERE device = ? AND epoch = ? AND number = ?`,
		string(e.Device), e.Epoch.String(), int64(e.Number)).Scan(&have)
	switch {
	case err == nil && bytes.Equal(have, e.JWS):
		return false, nil
	case err == nil:
		return false, &ConflictError{e.Device, e.Epoch, e.Number}
	case !errors.Is(err, sql.ErrNoRows):
		return false, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO entries (device, epoch, number, type, received, jws) VALUES (?, ?, ?, ?, ?, ?)`,
		string(e.Device), e.Epoch.String(), int64(e.Number), string(e.Type), nanos(l.now()), e.JWS)
	return err == nil, err
}

// apply brings what an entry speaks of up to date: its call, or the numbers that will never come.
func (l *Library) apply(ctx context.Context, tx *transaction, e call.Entry) (err error) {
	if e.Type == call.EntryLost {
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO lost (device, epoch, first, last) VALUES (?, ?, ?, ?)`,
			string(e.Device), e.Epoch.String(), int64(e.Lost.First), int64(e.Lost.Last))
		return err
	}
	if e.Type == call.EntryCorrection {
		return l.applyCorrection(ctx, tx, e)
	}
	if e.Call == nil {
		return nil
	}
	switch e.Type {
	case call.EntryAmendment:
		_, err = l.updateCall(ctx, tx, *e.Call, e.Device, e.Line, func(c *hq.Call) { amend(c, *e.Amendment) })
	case call.EntryBegin:
		_, err = l.updateCall(ctx, tx, *e.Call, e.Device, e.Line, func(c *hq.Call) { begin(c, e) })
	case call.EntryEnd:
		_, err = l.updateCall(ctx, tx, *e.Call, e.Device, e.Line, func(c *hq.Call) { end(c, *e.Manifest) })
	case call.EntryTombstone:
		// Only of a call that is known: a tombstone alone says neither when nor where.
		_, err = tx.ExecContext(ctx, `UPDATE calls SET ended_by = ? WHERE id = ? AND received = 0 AND ? <> ''
			AND line IN (SELECT n FROM lines WHERE device = ?)`, e.Reason, e.Call.String(), e.Reason, string(e.Device))
	}
	return err
}

func begin(c *hq.Call, e call.Entry) {
	c.Number = e.Number
	if c.Stage == "" {
		c.Stage = hq.StageBegan
		believe(c, e.Anchor)
	}
	if c.BeganBy == "" {
		c.BeganBy = e.Reason
	}
}

// end takes over what a manifest says, but for what the call file itself has said.
func end(c *hq.Call, m call.Manifest) {
	c.BeganBy, c.EndedBy = m.Began, m.Ended
	c.Duration = seconds(m.Duration)
	c.Gaps, c.Recovered, c.Short = m.Gaps, m.Recovered, m.Short
	if c.Stage == hq.StageDurable {
		return
	}
	c.Stage = hq.StageEnded
	believe(c, m.Anchor)
	c.Codec, c.Channels, c.Rate = m.Codec, m.Channels, m.Rate
	c.Size, c.SHA256 = m.Size, m.SHA256
}

// amend takes over what has become of a call's file on the recorder's card. What is here already is better.
func amend(c *hq.Call, a call.Amendment) {
	if c.Stage != hq.StageDurable {
		c.Size, c.SHA256 = a.Size, a.SHA256
	}
}

// Gapless gives the number up to which all entries of a recorder's epoch are here, or known to be lost; 0: none.
func (l *Library) Gapless(ctx context.Context, device call.DeviceID, epoch call.Epoch) (uint64, error) {
	n, err := gapless(ctx, l.read, device, epoch)
	return uint64(n), wrap("look up entries", err)
}

func gapless(ctx context.Context, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, device call.DeviceID, epoch call.Epoch) (n int64, err error) {
	err = db.QueryRowContext(ctx, `SELECT gapless FROM epochs WHERE device = ? AND epoch = ?`,
		string(device), epoch.String()).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// advance moves the end of the gapless run over what has come in.
func advance(ctx context.Context, tx *transaction, device call.DeviceID, epoch call.Epoch) error {
	reached, err := gapless(ctx, tx, device, epoch)
	if err != nil {
		return err
	}
	from, hole := reached, errors.New("hole")
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var first, last int64
		if err := rows.Scan(&first, &last); err != nil {
			return err
		}
		if first > reached+1 {
			return hole
		}
		reached = max(reached, last)
		return nil
	}, `SELECT number AS first, number AS last FROM entries WHERE device = ?1 AND epoch = ?2 AND number > ?3
		UNION ALL SELECT first, last FROM lost WHERE device = ?1 AND epoch = ?2 AND last > ?3 ORDER BY first`,
		string(device), epoch.String(), from)
	if err != nil && !errors.Is(err, hole) {
		return err
	}
	if reached == from {
		return nil
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO epochs (device, epoch, gapless) VALUES (?, ?, ?)
		ON CONFLICT (device, epoch) DO UPDATE SET gapless = excluded.gapless`, string(device), epoch.String(), reached)
	return err
}
