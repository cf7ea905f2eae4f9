// Package service ties headquarters' rooms together and runs its listeners: the web pages, recorders over HTTPS, and the
// MQTT broker of its own or the connection to another.
//
//	s, err := service.Open(ctx, service.Config{Data: "/var/lib/linekeeper-hq", Names: []string{"hq.example"}, ...})
//	pages := web.New(web.Config{Library: s.Library(), Users: s.Library().Accounts(), Media: media, ...})
//	err = s.Run(ctx, pages)   // until ctx ends
//
// # The data folder
//
//	authority/   keys and certificates, see hq/authority: back it up
//	library.db   the library, see hq/library
//	calls/       call files, see hq/blob
//	spool/       uploads under way
//	lock         held while headquarters runs, so that no second one runs on the same folder
package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/hq/blob"
	"github.com/linekeeper/linekeeper/hq/ingest"
	"github.com/linekeeper/linekeeper/hq/library"
)

// Config is what headquarters is run with.
type Config struct {
	Data  string   // folder; made where there is none
	Names []string // host names and IP addresses by which recorders and browsers reach it

	Web       string  // address that the web pages listen on, such as :8443
	Recorders string  // the same for recorders over HTTPS, such as :8444
	MQTT      string  // the same for the embedded broker, such as :8883; empty: none
	Broker    *Broker // a broker of someone else; nil: none

	MaxCall   int64         // bytes of the largest call file; 0: ingest.DefaultMaxCall
	KeepSpool time.Duration // how long an upload may rest; 0: ingest.DefaultKeepSpool
	Reserve   int64         // bytes of the disk that stay free; 0: blob.DefaultReserve

	Now     func() time.Time   // nil: time.Now
	Log     *slog.Logger       // nil: none
	OnEvent func(ingest.Event) // nil: nobody wants to know; must not block
}

// Broker is an MQTT broker beside headquarters.
type Broker struct {
	URL      string // mqtts://broker.example:8883
	Roots    []byte // PEM of who signed its certificate; none: headquarters' own authority
	ClientID string // empty: linekeeper-hq
}

// Times of the listeners.
const (
	headerTime = time.Minute     // for TLS and headers: recorders' links are slow
	idleTime   = 5 * time.Minute // a recorder keeps its connection between calls
	stopTime   = 5 * time.Second // for requests under way when the program stops
)

// Service is an opened headquarters, whose ports are taken.
type Service struct {
	cfg       Config
	lock      *os.File
	authority *authority.Authority
	library   *library.Library
	files     *blob.Store
	ingest    *ingest.Ingest
	tls       *tls.Config // for recorders over MQTT
	enrolTLS  *tls.Config // and over HTTPS
	webTLS    *tls.Config
	external  *ingest.External

	web, recorders, mqtt net.Listener // mqtt may be nil
	gate                 gate
}

// Open opens the data folder, finishes uploads that had arrived, and takes the ports. Who opens it runs or closes it.
func Open(ctx context.Context, cfg Config) (*Service, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{cfg: cfg}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Service) open(ctx context.Context) (err error) {
	if err = os.MkdirAll(s.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	if err = s.takeLock(); err != nil {
		return err
	}
	if s.authority, err = authority.Open(s.path("authority"), s.cfg.Now); err != nil {
		return err
	}
	if err = s.prepareTLS(); err != nil {
		return err
	}
	// Ports first: a second try after a mistake in the settings costs nothing then.
	if err = s.listen(); err != nil {
		return err
	}
	if s.library, err = library.Open(s.path("library.db"), s.cfg.Now); err != nil {
		return err
	}
	if s.files, err = blob.Open(s.path("calls"), blob.Options{Reserve: s.cfg.Reserve}); err != nil {
		return err
	}
	s.ingest, err = ingest.Open(ctx, ingest.Config{
		Library: s.library, Ledger: s.library, Recorders: s.library, Authority: s.authority, Files: s.files, Commands: s.library, Spool: s.path("spool"),
		Key: s.authority.ReceiptKey(), Recipient: s.authority.Recipient, MaxCall: s.cfg.MaxCall, KeepSpool: s.cfg.KeepSpool,
		Now: s.cfg.Now, Log: s.cfg.Log, OnEvent: s.cfg.OnEvent,
	})
	return err
}

func (s *Service) path(name string) string { return filepath.Join(s.cfg.Data, name) }

func (s *Service) takeLock() (err error) {
	path := s.path("lock")
	if s.lock, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return fmt.Errorf("open lock of the data folder: %w", err)
	}
	if err = unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("lock %s: %w: headquarters runs on this data folder already; stop that one first", path, err)
	}
	return nil
}

func (s *Service) prepareTLS() (err error) {
	if s.webTLS, err = s.authority.WebTLS(s.cfg.Names); err != nil {
		return err
	}
	if s.tls, err = s.authority.RecorderTLS(s.cfg.Names); err != nil {
		return err
	}
	if s.enrolTLS, err = s.authority.EnrolTLS(s.cfg.Names); err != nil {
		return err
	}
	if b := s.cfg.Broker; b != nil {
		cfg, err := s.authority.BrokerTLS(b.Roots)
		if err != nil {
			return fmt.Errorf("connect to broker %s: %w", b.URL, err)
		}
		s.external = &ingest.External{URL: b.URL, TLS: cfg, ClientID: b.ClientID}
	}
	return nil
}

func (s *Service) listen() (err error) {
	if s.web, err = listen("the web pages", s.cfg.Web); err != nil {
		return err
	}
	if s.recorders, err = listen("recorders", s.cfg.Recorders); err != nil {
		return err
	}
	if s.cfg.MQTT != "" {
		s.mqtt, err = listen("recorders over MQTT", s.cfg.MQTT)
	}
	return err
}

func listen(whom, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen for %s on %s: the port is in use by another program: stop that, or set another address", whom, address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("listen for %s on %s: not allowed: ports below 1024 need root, set another address", whom, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("listen for %s on %s: this machine has no such address: set one that it has, or only the port", whom, address)
	case err != nil:
		return nil, fmt.Errorf("listen for %s on %s: %w", whom, address, err)
	}
	return l, nil
}

// Authority signs recorders' certificates.
func (s *Service) Authority() *authority.Authority { return s.authority }

// Library is what the web pages show.
func (s *Service) Library() *library.Library { return s.library }

// Files are the call files.
func (s *Service) Files() *blob.Store { return s.files }

// Audio opens call files; of a call that is not here whole what has arrived.
func (s *Service) Audio() Audio { return Audio{s} }

// Audio is where call files are read from.
type Audio struct{ s *Service }

// Open opens the file of a call, or the beginning of it; hq.ErrNotFound: nothing of it is here.
func (a Audio) Open(ctx context.Context, id call.ID) (io.ReadSeekCloser, error) {
	f, err := a.s.files.Open(ctx, id)
	if errors.Is(err, hq.ErrNotFound) {
		return a.s.ingest.Partial(ctx, id)
	}
	return f, err
}

// WebAddress is where the web pages listen, with the port that was taken.
func (s *Service) WebAddress() net.Addr { return s.web.Addr() }

// RecordersAddress is where recorders are listened to over HTTPS.
func (s *Service) RecordersAddress() net.Addr { return s.recorders.Addr() }

// MQTTAddress is where the embedded broker listens; nil: there is none.
func (s *Service) MQTTAddress() net.Addr {
	if s.mqtt == nil {
		return nil
	}
	return s.mqtt.Addr()
}

// Run serves until ctx ends or something cannot go on, and then closes everything. The web pages are behind TLS, and
// whatever else guards them is theirs. It may be called once.
func (s *Service) Run(ctx context.Context, pages http.Handler) error {
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error {
		return s.serve(running, "the web pages", s.web, &http.Server{Handler: pages, TLSConfig: s.webTLS, ReadTimeout: headerTime})
	})
	group.Go(func() error {
		return s.serve(running, "recorders", s.recorders, &http.Server{Handler: s.ingest.Handler(), TLSConfig: s.enrolTLS})
	})
	group.Go(func() error { s.ingest.Run(running); return nil })
	if s.mqtt != nil {
		group.Go(func() error { return s.ingest.ServeBroker(running, s.mqtt, s.tls) })
	}
	if s.external != nil {
		group.Go(func() error { return s.ingest.Attach(running, *s.external) })
	}
	err := group.Wait()
	s.gate.shut()
	return errors.Join(err, s.Close())
}

// serve runs one HTTPS server until ctx ends.
func (s *Service) serve(ctx context.Context, whom string, l net.Listener, server *http.Server) error {
	server.Handler = s.gate.guard(server.Handler)
	server.TLSConfig = server.TLSConfig.Clone() // which it adds HTTP/2 to
	server.ReadHeaderTimeout, server.IdleTimeout = headerTime, idleTime
	server.MaxHeaderBytes = ingest.MaxHeaderBytes
	// A frame is read as a whole before its bytes go anywhere: large ones would be lost to a cut as a whole.
	server.HTTP2 = &http.HTTP2Config{MaxReadFrameSize: 16 << 10}
	server.ErrorLog = slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug)
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(l, "", "") }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", whom, err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close() // cuts uploads, which recorders take up again
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", whom, err)
	}
	return nil
}

// Close gives back what Open took. Run does it by itself.
func (s *Service) Close() error {
	var all []error
	for _, l := range []net.Listener{s.web, s.recorders, s.mqtt} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			all = append(all, err)
		}
	}
	if s.library != nil {
		all = append(all, s.library.Close())
	}
	if s.lock != nil {
		all = append(all, s.lock.Close()) // which unlocks it
	}
	return errors.Join(all...)
}

// gate counts requests, so that the library is closed after the last one: a server that is closed does not wait for
// them.
type gate struct{ mu sync.RWMutex }

func (g *gate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.mu.TryRLock() {
			http.Error(w, "headquarters is stopping", http.StatusServiceUnavailable)
			return
		}
		defer g.mu.RUnlock()
		next.ServeHTTP(w, r)
	})
}

// shut waits for the requests that are inside, and lets none in any more.
func (g *gate) shut() { g.mu.Lock() }
