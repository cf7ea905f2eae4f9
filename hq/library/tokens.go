package library

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// AddToken makes a token by which one recorder of a site may enrol until it expires: any one, or the only one that is named.
// Made and Used are filled in here.
func (l *Library) AddToken(ctx context.Context, t hq.Token) (token string, err error) {
	token = wire.NewToken()
	sum := sha256.Sum256([]byte(token))
	return token, l.change(ctx, "keep token", func(ctx context.Context, tx *transaction) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO tokens (sha256, site, made, expires, only, by) VALUES (?, ?, ?, ?, nullif(?, ''), ?)`,
			sum[:], t.Site, nanos(l.now()), nanos(t.Expires), string(t.Only), t.By)
		return err
	})
}

// Tokens gives the tokens that were made, newest first, at most limit of them.
func (l *Library) Tokens(ctx context.Context, limit int) (list []hq.Token, err error) {
	err = each(ctx, l.read, func(rows *sql.Rows) error {
		var t hq.Token
		var made, expires int64
		err := rows.Scan(&t.Site, &t.Only, &t.By, &made, &expires, &t.Used)
		t.Made, t.Expires = moment(made), moment(expires)
		list = append(list, t)
		return err
	}, `SELECT site, coalesce(only, ''), by, made, expires, coalesce(device, '') FROM tokens ORDER BY made DESC LIMIT ?`, limit)
	return list, wrap("list tokens", err)
}

// UseToken lets the recorder with this key in, at the token's site. The same recorder may use its token again, as long as
// it lasts: the answer may have been lost. hq.ErrRefused: there is no such token, it has expired, it is another recorder's or
// was used by one, or the recorder is shut out.
func (l *Library) UseToken(ctx context.Context, token string, key ed25519.PublicKey) (r hq.Recorder, err error) {
	sum := sha256.Sum256([]byte(token))
	device := call.DeviceIDOf(key)
	err = l.change(ctx, "use token", func(ctx context.Context, tx *transaction) error {
		var site string
		var expires int64
		var only, used call.DeviceID
		err := tx.QueryRowContext(ctx, `SELECT site, expires, coalesce(only, ''), coalesce(device, '') FROM tokens WHERE sha256 = ?`, sum[:]).
			Scan(&site, &expires, &only, &used)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("%w: headquarters has made no such token", hq.ErrRefused)
		case err != nil:
			return err
		case only != "" && only != device:
			return fmt.Errorf("%w: the token is for recorder %s alone: make a new bundle for this one", hq.ErrRefused, only)
		case used != "" && used != device:
			return fmt.Errorf("%w: the token was used by recorder %s: make a new bundle for this one", hq.ErrRefused, used)
		case l.now().After(moment(expires)):
			return fmt.Errorf("%w: the token ended on %s: make a new bundle", hq.ErrRefused, moment(expires).Format(time.DateOnly))
		}
		if _, err := tx.ExecContext(ctx, `UPDATE tokens SET device = ? WHERE sha256 = ?`, string(device), sum[:]); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, saveRecorder, string(device), []byte(key), site, nanos(l.now())); err != nil {
			return err
		}
		r, err = scanRecorder(tx.QueryRowContext(ctx, `SELECT `+recorderColumns+` FROM recorders WHERE device = ?`, string(device)))
		if err == nil && !r.Revoked.IsZero() {
			err = fmt.Errorf("%w: recorder %s is shut out", hq.ErrRefused, device)
		}
		return err
	})
	return r, err
}

// Revoke shuts a recorder out from now on, or lets it in again. hq.ErrNotFound: it was never made known.
func (l *Library) Revoke(ctx context.Context, device call.DeviceID, out bool) error {
	return l.change(ctx, "shut recorder out", func(ctx context.Context, tx *transaction) error {
		since := int64(0)
		if out {
			since = nanos(l.now())
		}
		result, err := tx.ExecContext(ctx, `UPDATE recorders SET revoked = ? WHERE device = ?`, since, string(device))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fmt.Errorf("recorder %s: %w", device, hq.ErrNotFound))
		}
		return nil
	})
}
