package library

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// keepHealth is how many lines of each recorder's health are kept: three months of one an hour.
const keepHealth = 2200

// saveHealth keeps lines of a recorder's log; those that are there already are passed over.
func (l *Library) saveHealth(ctx context.Context, tx *transaction, device call.DeviceID, lines []wire.Health) error {
	for _, h := range lines {
		b, err := json.Marshal(h)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO health (device, number, time, line) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			string(device), int64(h.Number), nanos(h.Time), string(b))
		if err != nil {
			return err
		}
	}
	if len(lines) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM health WHERE device = ? AND id <=
		(SELECT id FROM health WHERE device = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`, string(device), string(device), keepHealth)
	return err
}

// LastHealth is the number of the line of its log that a recorder sent last; 0: it has sent none.
func (l *Library) LastHealth(ctx context.Context, device call.DeviceID) (uint64, error) {
	var number int64
	err := l.read.QueryRowContext(ctx, `SELECT number FROM health WHERE device = ? ORDER BY id DESC LIMIT 1`, string(device)).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return uint64(number), wrap(fmt.Sprintf("look up the health of recorder %s", device), err)
}

// Health gives the lines of a recorder's health, newest first, at most limit of them.
func (l *Library) Health(ctx context.Context, device call.DeviceID, limit int) (lines []wire.Health, err error) {
	err = each(ctx, l.read, func(rows *sql.Rows) error {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		var h wire.Health
		if err := json.Unmarshal([]byte(text), &h); err != nil {
			return fmt.Errorf("a line of its health: %w", err)
		}
		lines = append(lines, h)
		return nil
	}, `SELECT line FROM health WHERE device = ? ORDER BY id DESC LIMIT ?`, string(device), limit)
	return lines, wrap(fmt.Sprintf("read the health of recorder %s", device), err)
}
