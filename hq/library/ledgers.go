package library

import (
	"context"
	"database/sql"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
)

// Ledgers lists the ledgers of which there are entries.
func (l *Library) Ledgers(ctx context.Context) (list []hq.Ledger, err error) {
	err = each(ctx, l.read, func(rows *sql.Rows) error {
		var device, epoch string
		if err := rows.Scan(&device, &epoch); err != nil {
			return err
		}
		one := hq.Ledger{Device: call.DeviceID(device)}
		if err := one.Epoch.UnmarshalText([]byte(epoch)); err != nil {
			return err
		}
		list = append(list, one)
		return nil
	}, `SELECT DISTINCT device, epoch FROM entries ORDER BY device, epoch`)
	return list, wrap("list ledgers", err)
}

// EntriesFrom gives entries of a ledger as they were signed, from a number on, in order, at most limit of them, and the
// number to go on from; 0: there are no more.
func (l *Library) EntriesFrom(ctx context.Context, of hq.Ledger, from uint64, limit int) (list [][]byte, next uint64, err error) {
	err = each(ctx, l.read, func(rows *sql.Rows) error {
		var number int64
		var jws []byte
		if err := rows.Scan(&number, &jws); err != nil {
			return err
		}
		if len(list) == limit {
			next = uint64(number)
			return nil
		}
		list = append(list, jws)
		return nil
	}, `SELECT number, jws FROM entries WHERE device = ? AND epoch = ? AND number >= ? ORDER BY number LIMIT ?`,
		string(of.Device), of.Epoch.String(), int64(from), limit+1)
	return list, next, wrap("read entries", err)
}
