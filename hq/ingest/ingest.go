// Package ingest takes in what recorders send: over HTTPS (status, entries of their ledgers, call files by tus 1.0) and
// over MQTT (the same, call files by EMQX's file transfer), from a broker of its own or from any other.
//
//	in, err := ingest.Open(ingest.Config{Library: lib, Ledger: lib, Recorders: lib, Files: store, ...})
//	go in.Run(ctx)                         // sweeps abandoned spools
//	server := &http.Server{Handler: in.Handler(), TLSConfig: authority's, for recorders}
//	go in.ServeBroker(ctx, listener)       // or in.Attach(ctx, ...) to another broker
//
// # One way to the end
//
// All ways in write to a spool folder and end in finish, which does in this order: the spooled file is synced; its size
// and SHA-256 are those declared, and those of the manifest where that is here; its header names the recorder and the
// call; it is published among the call files, durably; the database has it, with a signed receipt, durably. Only then
// is the receipt sent. A crash anywhere leaves the spool to go on from, and the same call sent again, over whichever
// way, is answered with the receipt that was stored.
//
// On a third way, an Importer takes in what couriers bring on sticks (docs/format-courier.md). It ends in finish too, and may
// run in a process of its own beside.
//
// # Who may do what
//
// A recorder is the common name of its client certificate, over HTTPS and at the embedded broker, and must be known to
// the library. It may write only to its own topics, entries and uploads. On a broker of someone else the publisher of a
// message cannot be seen: there the broker's access rules must see to it that nobody publishes to $file-async/{device}-…
// and linekeeper/{device}/… but that device.
package ingest

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// Library is where calls and their receipts are kept. What it changed is durable when it returns.
type Library interface {
	Call(ctx context.Context, id call.ID) (hq.Call, error)   // hq.ErrNotFound
	Receipt(ctx context.Context, id call.ID) (string, error) // hq.ErrNotFound
	Complete(ctx context.Context, a hq.Arrival) error        // hq.ErrRefused, hq.ErrNoRoom
	Receipts(ctx context.Context, device call.DeviceID, ids []call.ID) ([]string, error)
}

// Ledger is where entries are kept.
type Ledger interface {
	// AddEntries keeps all or none; hq.ErrRefused where one contradicts what is there.
	AddEntries(ctx context.Context, entries []call.SignedEntry) error
	// Gapless is the number up to which no entry is missing.
	Gapless(ctx context.Context, device call.DeviceID, epoch call.Epoch) (uint64, error)
}

// Recorders is who may send.
type Recorders interface {
	Recorder(ctx context.Context, device call.DeviceID) (hq.Recorder, error) // hq.ErrNotFound
	// Revoked is since when it is shut out; zero: it is let in. hq.ErrNotFound
	Revoked(ctx context.Context, device call.DeviceID) (time.Time, error)
	Saw(ctx context.Context, device call.DeviceID, via string) error
	SaveStatus(ctx context.Context, device call.DeviceID, via string, s wire.Status) error
	// LastHealth is the number of the line of its health log that a recorder sent last.
	LastHealth(ctx context.Context, device call.DeviceID) (uint64, error)
	// UseToken lets the recorder with this key in, once; hq.ErrRefused.
	UseToken(ctx context.Context, token string, key ed25519.PublicKey) (hq.Recorder, error)
}

// Authority judges and gives recorders' certificates.
type Authority interface {
	// VerifyRecorder checks a certificate; ended says that it was good, and is no longer.
	VerifyRecorder(cert *x509.Certificate) (ended bool, err error)
	// IssueDevice gives a certificate (PEM) for the holder of a recorder's key.
	IssueDevice(key ed25519.PublicKey) ([]byte, error)
}

// Files is where call files are kept.
type Files interface {
	// Room is hq.ErrNoRoom where so many bytes more do not fit.
	Room(size int64) error
	// Publish makes the file at path, which stays, the call's, durably; hq.ErrExists, hq.ErrNoRoom.
	Publish(id call.ID, path string) error
	Open(ctx context.Context, id call.ID) (io.ReadSeekCloser, error)
	// SetAside takes away a call's file that was never receipted.
	SetAside(id call.ID) error
}

// The ways in, as the library has them.
const (
	viaHTTPS = "https"
	viaMQTT  = "mqtt"
)

// Config is what an Ingest is made of.
type Config struct {
	Library   Library
	Ledger    Ledger
	Recorders Recorders
	Authority Authority
	Files     Files
	Commands  Commands
	Spool     string                 // folder for what is on its way; best on the file system of Files
	Key       ed25519.PrivateKey     // signs receipts
	Recipient func() (string, error) // whom recorders are to seal calls to
	MaxCall   int64                  // bytes of the largest call file; 0: DefaultMaxCall
	KeepSpool time.Duration          // how long an upload may rest before it is forgotten; 0: DefaultKeepSpool
	Now       func() time.Time
	Log       *slog.Logger
	OnEvent   func(Event) // nil: nobody wants to know; must not block
}

// Defaults of a Config.
const (
	DefaultMaxCall   = 2 << 30
	DefaultKeepSpool = 30 * 24 * time.Hour
)

// sweepEvery is how often abandoned spools are looked for.
const sweepEvery = time.Hour

// EventKind is what happened.
type EventKind string

// The events.
const (
	EventOnline    EventKind = "online"    // a recorder that was not there reported
	EventOffline   EventKind = "offline"   // a recorder's connection ended
	EventDelivered EventKind = "delivered" // a call is durable here
	EventRefused   EventKind = "refused"   // Err says what was refused, and why
)

// Event is something that a person who watches may want to know.
type Event struct {
	Kind   EventKind
	Device call.DeviceID
	Via    string
	Call   call.ID // delivered; refused, where it was a call
	Line   string  // delivered
	Size   int64   // delivered: of the call file
	Err    error
}

// Ingest takes in what recorders send. It is safe for concurrent use.
type Ingest struct {
	cfg       Config
	tus       *tus
	transfers *transfers
	calls     locks[call.ID] // one finish of a call at a time
	beside    processLocks   // the same, of all processes
	post      *post

	mu   sync.Mutex
	seen map[call.DeviceID]sighting
}

// Open opens the spool, and finishes what had arrived whole when the program ended.
func Open(ctx context.Context, cfg Config) (*Ingest, error) {
	in := newIngest(cfg)
	var err error
	if in.tus, err = openTus(in, in.spool("tus")); err != nil {
		return nil, err
	}
	if in.transfers, err = openTransfers(in.spool("mqtt"), in.cfg.MaxCall); err != nil {
		return nil, err
	}
	if in.beside, err = openProcessLocks(in.spool("locks")); err != nil {
		return nil, err
	}
	in.sweep(ctx)
	in.tus.finishAll(ctx)
	return in, ctx.Err()
}

// newIngest fills in the defaults.
func newIngest(cfg Config) *Ingest {
	if cfg.MaxCall == 0 {
		cfg.MaxCall = DefaultMaxCall
	}
	if cfg.KeepSpool == 0 {
		cfg.KeepSpool = DefaultKeepSpool
	}
	if cfg.OnEvent == nil {
		cfg.OnEvent = func(Event) {}
	}
	return &Ingest{cfg: cfg, seen: map[call.DeviceID]sighting{}, post: newPost()}
}

func (in *Ingest) spool(name string) string { return filepath.Join(in.cfg.Spool, name) }

// Run sweeps abandoned spools, and sends recorders what is wanted of them, until ctx ends. It is called once.
func (in *Ingest) Run(ctx context.Context) {
	var posting sync.WaitGroup
	posting.Go(func() { in.deliverCommands(ctx) })
	defer posting.Wait()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			in.sweep(ctx)
		}
	}
}

// sweep removes uploads that nobody has gone on with for long, unless they are all there is of a call.
func (in *Ingest) sweep(ctx context.Context) {
	old := in.cfg.Now().Add(-in.cfg.KeepSpool)
	for _, spool := range []spool{in.tus.spool, in.transfers.spool} {
		paths, err := spool.all()
		if err != nil {
			in.cfg.Log.Error("cannot look through the spool", "folder", spool, "error", err)
		}
		for _, path := range paths {
			info, err := os.Stat(path)
			if err != nil || !info.ModTime().Before(old) || !in.abandoned(ctx, path) {
				continue
			}
			in.cfg.Log.Info("an abandoned upload is forgotten", "upload", info.Name())
			if err := remove(path); err != nil {
				in.cfg.Log.Error("cannot forget an abandoned upload", "error", err)
			}
			in.transfers.forget(path)
		}
	}
}

// sighting is when a recorder was last heard of.
type sighting struct {
	saved  time.Time // in the library
	online bool
}

// sightingEvery bounds how often the library is told that a recorder is still there: each time is a synced write.
const sightingEvery = 30 * time.Second

// admit says whether a recorder is known, and notes that it was heard of.
func (in *Ingest) admit(ctx context.Context, device call.DeviceID, via string) error {
	revoked, err := in.cfg.Recorders.Revoked(ctx, device)
	if errors.Is(err, hq.ErrNotFound) {
		return fmt.Errorf("%w: recorder %s is not known at this headquarters", hq.ErrRefused, device)
	}
	if err != nil {
		return err
	}
	if !revoked.IsZero() {
		return fmt.Errorf("%w: recorder %s is shut out since %s", hq.ErrRefused, device, revoked.UTC().Format(time.DateTime))
	}
	now := in.cfg.Now()
	in.mu.Lock()
	last := in.seen[device]
	due := !last.online || now.Sub(last.saved).Abs() >= sightingEvery
	if due {
		in.seen[device] = sighting{saved: now, online: true}
	}
	in.mu.Unlock()
	if !last.online {
		in.cfg.OnEvent(Event{Kind: EventOnline, Device: device, Via: via})
	}
	if !due {
		return nil
	}
	return in.cfg.Recorders.Saw(ctx, device, via)
}

// status takes a recorder's word of itself.
func (in *Ingest) status(ctx context.Context, device call.DeviceID, via string, body []byte) error {
	var s wire.Status
	if err := wire.Decode(body, &s); err != nil {
		return malformed(err)
	}
	if s.Device != device {
		return fmt.Errorf("%w: status of recorder %q sent by %s", hq.ErrRefused, s.Device, device)
	}
	if err := in.cfg.Recorders.SaveStatus(ctx, device, via, s); err != nil || s.Online {
		return err
	}
	in.mu.Lock()
	was := in.seen[device]
	delete(in.seen, device)
	in.mu.Unlock()
	if was.online {
		in.cfg.OnEvent(Event{Kind: EventOffline, Device: device, Via: via})
	}
	return nil
}

// malformedError is what the sender did wrong in form.
type malformedError struct{ err error }

func (e *malformedError) Error() string { return e.err.Error() }
func (e *malformedError) Unwrap() error { return e.err }

func malformed(err error) error { return &malformedError{err} }

// locks is a lock for each of many things.
type locks[K comparable] struct {
	mu   sync.Mutex
	held map[K]*lock
}

type lock struct {
	sync.Mutex
	users int
}

// lock waits for the lock of k and gives what releases it.
func (l *locks[K]) lock(k K) (release func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[K]*lock{}
	}
	one := l.held[k]
	if one == nil {
		one = new(lock)
		l.held[k] = one
	}
	one.users++
	l.mu.Unlock()
	one.Lock()
	return func() {
		one.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(l.held, k)
		}
	}
}

// remove removes a file that may be gone already.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
