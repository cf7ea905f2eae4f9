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
	"github.com/linekeeper/linekeeper/wire"
)

// SaveRecorder makes a recorder known (its Device, Key and Site), or says at which site it is from now on. Its earlier calls
// stay where they were made.
func (l *Library) SaveRecorder(ctx context.Context, r hq.Recorder) error {
	return l.change(ctx, "save recorder", func(ctx context.Context, tx *transaction) error {
		_, err := tx.ExecContext(ctx, saveRecorder, string(r.Device), []byte(r.Key), r.Site, nanos(l.now()))
		return err
	})
}

const saveRecorder = `INSERT INTO recorders (device, key, site, added) VALUES (?, ?, ?, ?)
	ON CONFLICT (device) DO UPDATE SET site = excluded.site`

const recorderColumns = `device, key, site, added, seen, via, status, revoked`

// Recorder gives one recorder; hq.ErrNotFound: it was never made known.
func (l *Library) Recorder(ctx context.Context, device call.DeviceID) (hq.Recorder, error) {
	r, err := scanRecorder(l.read.QueryRowContext(ctx,
		`SELECT `+recorderColumns+` FROM recorders WHERE device = ?`, string(device)))
	return r, wrap(fmt.Sprintf("look up recorder %s", device), err)
}

// Revoked is since when a recorder is shut out; zero: it is let in. hq.ErrNotFound: it was never made known.
func (l *Library) Revoked(ctx context.Context, device call.DeviceID) (time.Time, error) {
	var since int64
	err := l.read.QueryRowContext(ctx, `SELECT revoked FROM recorders WHERE device = ?`, string(device)).Scan(&since)
	return moment(since), wrap(fmt.Sprintf("look up recorder %s", device), err)
}

// Recorders gives all recorders by site, then device.
func (l *Library) Recorders(ctx context.Context) (list []hq.Recorder, err error) {
	err = each(ctx, l.read, func(rows *sql.Rows) error {
		r, err := scanRecorder(rows)
		list = append(list, r)
		return err
	}, `SELECT `+recorderColumns+` FROM recorders ORDER BY site, device`)
	return list, wrap("list recorders", err)
}

// Saw notes that a recorder was heard of now, over https or mqtt.
func (l *Library) Saw(ctx context.Context, device call.DeviceID, via string) error {
	return l.change(ctx, "note recorder", func(ctx context.Context, tx *transaction) error {
		_, err := tx.ExecContext(ctx, `UPDATE recorders SET seen = ?, via = ? WHERE device = ?`,
			nanos(l.now()), via, string(device))
		return err
	})
}

// SaveStatus keeps what a recorder says of itself. Its last will (not online) changes nothing but that word: what it
// said last is still the best that is known.
func (l *Library) SaveStatus(ctx context.Context, device call.DeviceID, via string, s wire.Status) error {
	return l.change(ctx, "save status", func(ctx context.Context, tx *transaction) error {
		lines := s.HealthLog
		s.HealthLog = nil
		b, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if !s.Online {
			_, err := tx.ExecContext(ctx, `UPDATE recorders SET status = json_set(coalesce(status, ?), '$.online', json('false'))
				WHERE device = ?`, string(b), string(device))
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE recorders SET status = ?, seen = ?, via = ? WHERE device = ?`,
			string(b), nanos(l.now()), via, string(device))
		return errors.Join(err, l.saveHealth(ctx, tx, device, lines))
	})
}

type scanner interface{ Scan(...any) error }

func scanRecorder(row scanner) (hq.Recorder, error) {
	var r hq.Recorder
	var added, seen, revoked int64
	var status sql.NullString
	if err := row.Scan(&r.Device, (*[]byte)(&r.Key), &r.Site, &added, &seen, &r.Via, &status, &revoked); err != nil {
		return hq.Recorder{}, err
	}
	r.Added, r.Seen, r.Revoked = moment(added), moment(seen), moment(revoked)
	if status.Valid {
		r.Status = new(wire.Status)
		if err := json.Unmarshal([]byte(status.String), r.Status); err != nil {
			return hq.Recorder{}, fmt.Errorf("status of recorder %s: %w", r.Device, err)
		}
	}
	return r, nil
}

// each runs f on every row of a query.
func each(ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, f func(*sql.Rows) error, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
