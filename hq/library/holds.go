package library

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// Hold puts a call on hold, or lets it go (At is filled in here). Its recorder is told in the same transaction: to hold it
// where it has not delivered it, and to let it go where it was told to hold it. hq.ErrNotFound: there is no such call;
// hq.ErrExists: it is so already.
func (l *Library) Hold(ctx context.Context, h hq.Hold) error {
	return l.change(ctx, "keep hold", func(ctx context.Context, tx *transaction) error {
		id, now := h.Call.String(), l.now()
		command := hq.Command{Kind: wire.CommandHold, Call: &h.Call, Why: h.Why, By: h.By}
		var stage hq.Stage
		var held bool
		err := tx.QueryRowContext(ctx, `SELECT l.device, c.stage, coalesce((SELECT held FROM holds WHERE call = c.id ORDER BY n DESC LIMIT 1), 0)
			FROM calls c JOIN lines l ON l.n = c.line WHERE c.id = ?`, id).Scan(&command.Device, &stage, &held)
		if err != nil {
			return fmt.Errorf("call %s: %w", id, err)
		}
		if held == h.On {
			return fmt.Errorf("call %s: its hold: %w", id, hq.ErrExists)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO holds (call, held, why, by, at) VALUES (?, ?, ?, ?, ?)`, id, h.On, h.Why, h.By, nanos(now)); err != nil {
			return err
		}
		tell := stage != hq.StageDurable
		if !h.On {
			var last wire.CommandKind
			err := tx.QueryRowContext(ctx, `SELECT kind FROM commands WHERE call = ? AND kind IN ('hold', 'unhold') ORDER BY number DESC LIMIT 1`, id).Scan(&last)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			command.Kind, tell = wire.CommandUnhold, last == wire.CommandHold
		}
		if !tell {
			return nil
		}
		_, err = l.addCommand(ctx, tx, command)
		return err
	})
}

// Holds gives what was said about a call's hold, newest first, at most limit of them.
func (l *Library) Holds(ctx context.Context, id call.ID, limit int) (list []hq.Hold, err error) {
	err = each(ctx, l.read, func(rows *sql.Rows) error {
		h := hq.Hold{Call: id}
		var at int64
		err := rows.Scan(&h.On, &h.Why, &h.By, &at)
		h.At = moment(at)
		list = append(list, h)
		return err
	}, `SELECT held, why, by, at FROM holds WHERE call = ? ORDER BY n DESC LIMIT ?`, id.String(), limit)
	return list, wrap("list holds", err)
}
