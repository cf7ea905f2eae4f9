package library

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/linekeeper/linekeeper/hq"
)

// Accounts is the part of the library that says who may look at it, and who does.
type Accounts struct{ library *Library }

// Accounts gives it.
func (l *Library) Accounts() *Accounts { return &Accounts{l} }

// SaveUser adds a user, or gives one a new password, which ends the user's sessions, and the rights of u beside those
// there are.
func (a *Accounts) SaveUser(ctx context.Context, u hq.User) error {
	return a.library.change(ctx, "save user", func(ctx context.Context, tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user = ?`, u.Name); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO users (name, password, admin, added) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET password = excluded.password, admin = max(admin, excluded.admin)`,
			u.Name, u.Password, u.Admin, nanos(a.library.now()))
		return err
	})
}

// RemoveUser removes a user with all sessions; hq.ErrNotFound: there is none of this name.
func (a *Accounts) RemoveUser(ctx context.Context, name string) error {
	return a.library.change(ctx, fmt.Sprintf("remove user %q", name), func(ctx context.Context, tx *transaction) error {
		return tx.QueryRowContext(ctx, `DELETE FROM users WHERE name = ? RETURNING name`, name).Scan(&name)
	})
}

// User gives a user by name.
func (a *Accounts) User(ctx context.Context, name string) (hq.User, error) {
	u, err := scanUser(a.library.read.QueryRowContext(ctx, `SELECT name, password, admin, added FROM users WHERE name = ?`, name))
	return u, wrap("look up user", err)
}

// Users gives all users by name.
func (a *Accounts) Users(ctx context.Context) (list []hq.User, err error) {
	err = each(ctx, a.library.read, func(rows *sql.Rows) error {
		u, err := scanUser(rows)
		list = append(list, u)
		return err
	}, `SELECT name, password, admin, added FROM users ORDER BY name`)
	return list, wrap("list users", err)
}

// AddSession keeps a login, and forgets those that have expired.
func (a *Accounts) AddSession(ctx context.Context, s hq.Session) error {
	return a.library.change(ctx, "keep session", func(ctx context.Context, tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE expires < ?`, nanos(a.library.now())); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO sessions (token, user, expires) VALUES (?, ?, ?)`,
			s.TokenSHA256, s.User, nanos(s.Expires))
		return err
	})
}

// Session finds a session by the SHA-256 of its token, in hex; it may have expired.
func (a *Accounts) Session(ctx context.Context, tokenSHA256 string) (hq.Session, error) {
	s := hq.Session{TokenSHA256: tokenSHA256}
	var expires int64
	err := a.library.read.QueryRowContext(ctx, `SELECT user, expires FROM sessions WHERE token = ?`, tokenSHA256).
		Scan(&s.User, &expires)
	s.Expires = moment(expires)
	return s, wrap("look up session", err)
}

// EndSession forgets a session; hq.ErrNotFound: there is none.
func (a *Accounts) EndSession(ctx context.Context, tokenSHA256 string) error {
	return a.library.change(ctx, "end session", func(ctx context.Context, tx *transaction) error {
		return tx.QueryRowContext(ctx, `DELETE FROM sessions WHERE token = ? RETURNING token`, tokenSHA256).Scan(&tokenSHA256)
	})
}

func scanUser(row scanner) (hq.User, error) {
	var u hq.User
	var added int64
	err := row.Scan(&u.Name, &u.Password, &u.Admin, &added)
	u.Added = moment(added)
	return u, err
}
