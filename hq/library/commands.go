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

// AddCommand keeps a command for a recorder and gives its number: Number, Given and what follows are filled in here.
// hq.ErrNotFound: there is no such recorder.
func (l *Library) AddCommand(ctx context.Context, c hq.Command) (number uint64, err error) {
	err = l.change(ctx, "keep command", func(ctx context.Context, tx *transaction) error {
		number, err = l.addCommand(ctx, tx, c)
		return err
	})
	return number, err
}

func (l *Library) addCommand(ctx context.Context, tx *transaction, c hq.Command) (number uint64, err error) {
	var known string
	if err := tx.QueryRowContext(ctx, `SELECT device FROM recorders WHERE device = ?`, string(c.Device)).Scan(&known); err != nil {
		return 0, fmt.Errorf("recorder %s: %w", c.Device, err)
	}
	now := l.now()
	err = tx.QueryRowContext(ctx, `INSERT INTO commands (number, device, kind, call, why, by, given)
		VALUES (max(?, 1 + coalesce((SELECT max(number) FROM commands), 0)), ?, ?, ?, ?, ?, ?) RETURNING number`,
		now.UnixMilli(), string(c.Device), string(c.Kind), nullable(c.Call), c.Why, c.By, nanos(now)).Scan(&number)
	return number, err
}

func nullable(id *call.ID) any {
	if id == nil {
		return nil
	}
	return id.String()
}

const commandColumns = `number, device, kind, call, why, by, given, ended, error`

// OpenCommands gives a recorder's commands without a result, oldest first, at most limit of them.
func (l *Library) OpenCommands(ctx context.Context, device call.DeviceID, limit int) ([]hq.Command, error) {
	return l.commands(ctx, `WHERE device = ? AND ended = 0 ORDER BY number LIMIT ?`, string(device), limit)
}

// CommandsOf gives the commands about a call, newest first, at most limit of them.
func (l *Library) CommandsOf(ctx context.Context, id call.ID, limit int) ([]hq.Command, error) {
	return l.commands(ctx, `WHERE call = ? ORDER BY number DESC LIMIT ?`, id.String(), limit)
}

// CommandsTo gives a recorder's commands, newest first, at most limit of them.
func (l *Library) CommandsTo(ctx context.Context, device call.DeviceID, limit int) ([]hq.Command, error) {
	return l.commands(ctx, `WHERE device = ? ORDER BY number DESC LIMIT ?`, string(device), limit)
}

// CommandsAfter gives the commands without a result whose number is higher, oldest first.
func (l *Library) CommandsAfter(ctx context.Context, number uint64, limit int) ([]hq.Command, error) {
	return l.commands(ctx, `WHERE number > ? AND ended = 0 ORDER BY number LIMIT ?`, int64(number), limit)
}

// LastCommand gives the highest number of all; 0: there is none.
func (l *Library) LastCommand(ctx context.Context) (number uint64, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT coalesce(max(number), 0) FROM commands`).Scan(&number)
	return number, wrap("look up commands", err)
}

func (l *Library) commands(ctx context.Context, where string, args ...any) (list []hq.Command, err error) {
	err = each(ctx, l.read, func(rows *sql.Rows) error {
		var c hq.Command
		var id sql.NullString
		var given, ended int64
		if err := rows.Scan(&c.Number, &c.Device, &c.Kind, &id, &c.Why, &c.By, &given, &ended, &c.Error); err != nil {
			return err
		}
		c.Given, c.Ended = moment(given), moment(ended)
		if id.Valid {
			parsed, err := call.ParseID(id.String)
			if err != nil {
				return fmt.Errorf("command %d: %w", c.Number, err)
			}
			c.Call = &parsed
		}
		list = append(list, c)
		return nil
	}, `SELECT `+commandColumns+` FROM commands `+where, args...)
	return list, wrap("list commands", err)
}

// EndCommand keeps what became of a command of a recorder's. The first word counts; hq.ErrNotFound: it has no such
// command.
func (l *Library) EndCommand(ctx context.Context, device call.DeviceID, r wire.CommandResult) error {
	return l.change(ctx, fmt.Sprintf("keep result of command %d", r.Number), func(ctx context.Context, tx *transaction) error {
		var ended int64
		err := tx.QueryRowContext(ctx, `SELECT ended FROM commands WHERE number = ? AND device = ?`, int64(r.Number), string(device)).Scan(&ended)
		if err != nil || ended != 0 {
			return err
		}
		at := nanos(l.now())
		if at == 0 {
			return errors.New("the clock is not set")
		}
		_, err = tx.ExecContext(ctx, `UPDATE commands SET ended = ?, error = ? WHERE number = ?`, at, r.Error, int64(r.Number))
		return err
	})
}
