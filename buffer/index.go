package buffer

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	// The driver is named "sqlite3".
	_ "github.com/mattn/go-sqlite3"

	"github.com/linekeeper/linekeeper/call"
)

// index is a file beside the ring that makes opening it quick and resuming an upload cheap. Its copies of directories
// are checked like those in the segments and may be missing; the resume state of uploads stands nowhere else, and costs
// bytes on the link where it is lost. A nil index is none.
type index struct {
	db          *sql.DB
	log         *slog.Logger
	directories map[uint32]savedDirectory // only while the ring is opened
}

type savedDirectory struct {
	generation uint32
	pages      []byte
}

const indexVersion = 1

const indexSchema = `
CREATE TABLE ring (epoch TEXT NOT NULL);
CREATE TABLE directory (segment INTEGER PRIMARY KEY, generation INTEGER NOT NULL, pages BLOB NOT NULL);
CREATE TABLE transfer (call BLOB NOT NULL, via TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (call, via)) WITHOUT ROWID;
`

// openIndex opens the index or makes it. One that is damaged, or of another ring, is set aside under the name that is
// given back, and made anew.
func openIndex(path string, epoch call.Epoch, fs FS, log *slog.Logger) (x *index, aside string, err error) {
	if path == "" {
		return nil, "", nil
	}
	if x, err = useIndex(path, epoch, log); err == nil {
		return x, "", nil
	}
	log.Warn("the index is damaged or of another ring; it is set aside and rebuilt", "error", err)
	if aside, err = setIndexAside(path, fs); err != nil {
		return nil, "", fmt.Errorf("set the damaged index %s aside: %w", path, err)
	}
	if x, err = useIndex(path, epoch, log); err != nil {
		return nil, aside, fmt.Errorf("make index %s: %w", path, err)
	}
	return x, aside, nil
}

// setIndexAside renames the index to the first free name index.db.damaged-N.
func setIndexAside(path string, fs FS) (string, error) {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.damaged-%d", path, n)
		if _, err := os.Lstat(aside); err == nil {
			continue
		}
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := fs.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return "", err
			}
		}
		return aside, fs.SyncFolder(filepath.Dir(path))
	}
}

func useIndex(path string, epoch call.Epoch, log *slog.Logger) (*index, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// Each commit is synced: an upload's address must be on the card before its first byte is sent.
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(),
		RawQuery: "_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000"}).String()
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	x := &index{db: db, log: log}
	if err := x.prepare(epoch); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return x, nil
}

// prepare checks the file and reads the directories.
func (x *index) prepare(epoch call.Epoch) error {
	var check string
	if err := x.db.QueryRow("PRAGMA quick_check(1)").Scan(&check); err != nil {
		return err
	}
	if check != "ok" {
		return fmt.Errorf("integrity check: %s", check)
	}
	var version int
	if err := x.db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version == 0 {
		_, err := x.db.Exec("BEGIN;" + indexSchema +
			fmt.Sprintf("INSERT INTO ring VALUES ('%v'); PRAGMA user_version = %d; COMMIT", epoch, indexVersion))
		return err
	}
	var of string
	if err := x.db.QueryRow("SELECT epoch FROM ring").Scan(&of); err != nil {
		return err
	}
	if version != indexVersion || of != epoch.String() {
		return fmt.Errorf("version %d of ring %s, want %d of %v", version, of, indexVersion, epoch)
	}
	return x.read()
}

func (x *index) read() (err error) {
	rows, err := x.db.Query("SELECT segment, generation, pages FROM directory")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	x.directories = make(map[uint32]savedDirectory)
	for rows.Next() {
		var number uint32
		var d savedDirectory
		if err := rows.Scan(&number, &d.generation, &d.pages); err != nil {
			return err
		}
		x.directories[number] = d
	}
	return rows.Err()
}

// directory gives the copy of a segment's directory, if there is one of its present use.
func (x *index) directory(s *segment, epoch call.Epoch) (*directory, uint32) {
	if x == nil {
		return nil, 0
	}
	saved := x.directories[s.number]
	delete(x.directories, s.number)
	t, err := parseTail(saved.pages, epoch, s.number, s.generation, 1<<30)
	if err != nil || t.rows()+tailSize > len(saved.pages) {
		return nil, 0
	}
	d, err := t.parse(saved.pages[len(saved.pages)-t.rows()-tailSize:])
	if err != nil {
		return nil, 0
	}
	return d, t.end
}

// put keeps a copy of a closed segment's directory. A failure costs a little time when the ring is opened next.
func (x *index) put(s *segment, d *directory, epoch call.Epoch) {
	if x == nil {
		return
	}
	_, err := x.db.Exec("INSERT OR REPLACE INTO directory VALUES (?, ?, ?)", s.number, s.generation,
		d.pages(epoch, s.number, s.generation, s.end))
	if err != nil {
		x.log.Warn("the index does not take a directory", "segment", s.number, "error", err)
	}
}

// rebuild makes what load puts one transaction.
func (x *index) rebuild(load func() error) error {
	if x == nil {
		return load()
	}
	if _, err := x.db.Exec("BEGIN"); err != nil {
		return fmt.Errorf("begin to rebuild the index: %w", err)
	}
	err := load()
	if _, cerr := x.db.Exec("COMMIT"); cerr != nil {
		x.log.Warn("the index does not take the directories", "error", cerr)
	}
	x.directories = nil
	return err
}

// prune forgets the transfers of calls that are not live.
func (x *index) prune(live func(call.ID) bool) {
	if x == nil {
		return
	}
	ids, err := x.transfers()
	for _, id := range ids {
		if err == nil && !live(id) {
			_, err = x.db.Exec("DELETE FROM transfer WHERE call = ?", id[:])
		}
	}
	if err != nil {
		x.log.Warn("the index does not forget transfers", "error", err)
	}
}

func (x *index) transfers() (ids []call.ID, err error) {
	rows, err := x.db.Query("SELECT DISTINCT call FROM transfer")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		var id call.ID
		copy(id[:], b)
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func (x *index) close() error {
	if x == nil {
		return nil
	}
	return x.db.Close()
}

// tellIndex keeps the copy of a directory, and forgets the transfers of calls that were released.
func (w *writer) tellIndex(s *segment, d *directory) {
	if s != nil {
		w.r.index.put(s, d, w.r.disk.epoch)
	}
	w.r.index.forget(w.ended)
	clear(w.ended)
}

// forget drops the transfers of calls.
func (x *index) forget(ids map[call.ID]struct{}) {
	if x == nil {
		return
	}
	for id := range ids {
		if _, err := x.db.Exec("DELETE FROM transfer WHERE call = ?", id[:]); err != nil {
			x.log.Warn("the index does not forget a transfer", "error", err)
			return
		}
	}
}

// SaveTransfer keeps a few bytes that let an upload of the call go on where it was, for the transport that calls itself
// via. Nil forgets them. They are durable when it returns, at the price of some 20 KB written to the card, and may
// be lost with the index. Without an index nothing is kept.
func (r *Ring) SaveTransfer(id call.ID, via string, state []byte) error {
	var err error
	switch {
	case r.index == nil:
	case state == nil:
		_, err = r.index.db.Exec("DELETE FROM transfer WHERE call = ? AND via = ?", id[:], via)
	default:
		_, err = r.index.db.Exec("INSERT OR REPLACE INTO transfer VALUES (?, ?, ?)", id[:], via, state)
	}
	if err != nil {
		return fmt.Errorf("save transfer of call %v: %w", id, err)
	}
	return nil
}

// Transfer gives what SaveTransfer kept; nil: nothing.
func (r *Ring) Transfer(id call.ID, via string) (state []byte, err error) {
	if r.index == nil {
		return nil, nil
	}
	err = r.index.db.QueryRow("SELECT state FROM transfer WHERE call = ? AND via = ?", id[:], via).Scan(&state)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read transfer of call %v: %w", id, err)
	}
	return state, nil
}
