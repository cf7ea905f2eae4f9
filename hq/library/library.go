// Package library is headquarters' memory: which recorders there are and how they do, every entry of their ledgers as
// signed, the calls that follow from those, the receipts that were given, and who may look at it all. It is one SQLite
// database.
//
//	lib, err := library.Open("/var/lib/linekeeper-hq/library.db", time.Now)
//	err = lib.SaveRecorder(ctx, hq.Recorder{Device: device, Key: key, Site: "Northam"})
//	err = lib.AddEntries(ctx, entries)
//	calls, next, err := lib.Calls(ctx, hq.Query{Text: "northam front"})
//
// What a method has changed when it returns without an error survives a power cut: the write-ahead log is synced at
// each commit (synchronous=FULL). A receipt may be sent then, and not before. What comes together is committed together.
//
// A call is put together from what comes in, in any order: its begin entry, its end entry with the manifest, its call
// file. Nothing that came later makes it forget what came before; size and hash are those of the call file once it is
// here, whatever a manifest says.
//
// Errors: hq.ErrNotFound, hq.ErrRefused for what contradicts what is there, hq.ErrNoRoom on a full disk.
package library

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/pressly/goose/v3"

	"github.com/linekeeper/linekeeper/hq"
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is how many queries run at once beside the one writer.
const readers = 4

// Library is an opened database. It is safe for concurrent use.
type Library struct {
	write   *transaction // of the changes: SQLite has one writer
	changes changes
	read    *statements
	closers []io.Closer
	now     func() time.Time
}

// Open opens the database and brings it to the present form; a file that is not there is made, for the owner only.
func Open(path string, now func() time.Time) (*Library, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // SQLite's other files take its mode
	if err != nil {
		return nil, fmt.Errorf("open library: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open library: %w", err)
	}
	l := &Library{now: now}
	writer, err := connect(path, 1, url.Values{"_txlock": {"immediate"}})
	if err != nil {
		return nil, err
	}
	if err := migrate(writer); err != nil {
		return nil, errors.Join(fmt.Errorf("library %s: %w", path, err), writer.Close())
	}
	conn, err := writer.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open library %s: %w", path, err), writer.Close())
	}
	reader, err := connect(path, readers, url.Values{"_query_only": {"true"}})
	if err != nil {
		return nil, errors.Join(err, conn.Close(), writer.Close())
	}
	l.write, l.read, l.closers = newStatements(conn), newStatements(reader), []io.Closer{reader, conn, writer}
	return l, nil
}

func connect(path string, connections int, more url.Values) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open library: %w", err)
	}
	more.Set("_journal_mode", "WAL")
	more.Set("_synchronous", "FULL")
	more.Set("_busy_timeout", "10000")
	more.Set("_foreign_keys", "on")
	db, err := sql.Open("sqlite3", (&url.URL{Scheme: "file", Path: abs, RawQuery: more.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open library %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

func migrate(db *sql.DB) error {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sub)
	if err != nil {
		return fmt.Errorf("is it a library of headquarters? %w", err)
	}
	ctx := context.Background()
	current, known, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("is it a library of headquarters? %w", err)
	}
	if current > known {
		return fmt.Errorf("it was written by a newer program (form %d, this program knows %d): install that one", current, known)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring it to form %d: %w", known, err)
	}
	return nil
}

// Close closes the database.
func (l *Library) Close() error {
	var all []error
	for _, c := range l.closers {
		all = append(all, c.Close())
	}
	return errors.Join(all...)
}

// wrap says what was attempted, and gives errors their common names.
func wrap(what string, err error) error {
	var lite sqlite3.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", what, hq.ErrNotFound)
	case errors.As(err, &lite) && lite.Code == sqlite3.ErrFull:
		return fmt.Errorf("%s: %w: %w", what, hq.ErrNoRoom, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// nanos is a time as stored. What recorders believe of the time may be anything; it is brought into range.
func nanos(t time.Time) int64 {
	switch {
	case t.Year() < 1970:
		return 0
	case t.Year() > 2200:
		return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	}
	return t.UnixNano()
}

// moment is a stored time; 0 is the zero time.
func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// seconds is a duration as stored, in range whatever a recorder says.
func seconds(s float64) time.Duration {
	const most = 1e9
	return time.Duration(min(max(s, 0), most) * float64(time.Second))
}
