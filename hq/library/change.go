package library

import (
	"context"
	"database/sql"
	"sync"
)

// mostTogether bounds the changes of one transaction, so that none waits long for the others.
const mostTogether = 256

// changes are what waits to be committed. What comes while a transaction is under way goes into the next one together, and
// shares its sync; what comes alone waits for nothing.
type changes struct {
	mu      sync.Mutex
	waiting []*change
	working bool
}

type change struct {
	ctx  context.Context // ended: it is not begun
	make func(context.Context, *transaction) error
	done chan error
}

// change has f run in a transaction, which is durable when change returns nil. Others share the transaction: if one of them
// fails, f is run again, in one of its own. Its context does not end.
func (l *Library) change(ctx context.Context, what string, f func(context.Context, *transaction) error) error {
	c := &change{ctx, f, make(chan error, 1)}
	l.queue(c)
	return wrap(what, <-c.done)
}

// queue has changes committed, in their order.
func (l *Library) queue(some ...*change) {
	l.changes.mu.Lock()
	defer l.changes.mu.Unlock()
	l.changes.waiting = append(l.changes.waiting, some...)
	if !l.changes.working {
		l.changes.working = true
		go l.commitWaiting()
	}
}

// commitWaiting commits what waits until nothing does.
func (l *Library) commitWaiting() {
	for {
		l.changes.mu.Lock()
		n := min(len(l.changes.waiting), mostTogether)
		group := l.changes.waiting[:n:n]
		l.changes.waiting = l.changes.waiting[n:]
		l.changes.working = n > 0
		l.changes.mu.Unlock()
		if n == 0 {
			return
		}
		err := l.commit(group...)
		for _, c := range group {
			if err == nil || n == 1 {
				c.done <- err
			} else {
				c.done <- l.commit(c)
			}
		}
	}
}

// commit makes all of the changes in one transaction, durably, or none.
func (l *Library) commit(group ...*change) error {
	ctx := context.Background()
	if _, err := l.write.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	err := makeAll(group, l.write)
	if err == nil {
		_, err = l.write.ExecContext(ctx, `COMMIT`)
	}
	if err != nil {
		_, _ = l.write.ExecContext(ctx, `ROLLBACK`) // fails where SQLite has done it by itself
	}
	return err
}

func makeAll(group []*change, tx *transaction) error {
	for _, c := range group {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.make(context.WithoutCancel(c.ctx), tx); err != nil {
			return err
		}
	}
	return nil
}

// database is a *sql.DB or *sql.Conn.
type database interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// statements runs statements on a database, which parses each only once.
type statements struct {
	database
	mu     sync.Mutex
	parsed map[string]*sql.Stmt
}

// transaction is the one under way, on the one connection that writes.
type transaction = statements

func newStatements(db database) *statements {
	return &statements{database: db, parsed: map[string]*sql.Stmt{}}
}

// get gives a statement, parsed; nil: it cannot be, as it says when it is run.
func (s *statements) get(ctx context.Context, query string) *sql.Stmt {
	s.mu.Lock()
	have := s.parsed[query]
	s.mu.Unlock()
	if have != nil {
		return have
	}
	stmt, err := s.PrepareContext(ctx, query) // which may wait for a connection
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.parsed[query]; have != nil { // meanwhile
		_ = stmt.Close()
		return have
	}
	s.parsed[query] = stmt
	return stmt
}

// ExecContext implements database.
func (s *statements) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := s.get(ctx, query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return s.database.ExecContext(ctx, query, args...)
}

// QueryContext implements database.
func (s *statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := s.get(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return s.database.QueryContext(ctx, query, args...)
}

// QueryRowContext implements database.
func (s *statements) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := s.get(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return s.database.QueryRowContext(ctx, query, args...)
}
