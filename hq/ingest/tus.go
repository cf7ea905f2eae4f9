package ingest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	expslog "golang.org/x/exp/slog"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// quietFor is how long an upload's connection may say nothing. A link of 9.6 kbit/s with a deep queue is silent for
// tens of seconds.
const quietFor = 2 * time.Minute

// tus takes call files by tus 1.0 (creation). tusd speaks the protocol; whose upload it is, what is accepted, and the
// way to the receipt is decided here.
type tus struct {
	in      *Ingest
	spool   spool
	handler http.Handler
}

func openTus(in *Ingest, dir string) (*tus, error) {
	s, err := openSpool(dir)
	if err != nil {
		return nil, err
	}
	t := &tus{in: in, spool: s}
	composer := handler.NewStoreComposer()
	composer.UseCore(uploads{s})
	composer.UseLengthDeferrer(uploads{s}) // a call in progress
	composer.UseLocker(locker{memorylocker.New()})
	h, err := handler.NewHandler(handler.Config{
		StoreComposer:             composer,
		BasePath:                  wire.PathCalls,
		MaxSize:                   in.cfg.MaxCall,
		DisableDownload:           true,
		DisableTermination:        true,
		DisableConcatenation:      true,
		Cors:                      &handler.CorsConfig{Disable: true},
		Logger:                    expslog.New(expslog.NewTextHandler(io.Discard, &expslog.HandlerOptions{Level: expslog.LevelError + 1})), // a line for each request, and none that we lack
		NetworkTimeout:            quietFor,
		PreUploadCreateCallback:   t.create,
		PreFinishResponseCallback: t.finished,
		// The store does not look at the context; a longer time keeps a goroutine for each request.
		GracefulRequestCompletionTimeout: time.Millisecond,
	})
	if err != nil {
		return nil, fmt.Errorf("set up tus: %w", err)
	}
	t.handler = http.StripPrefix(wire.PathCalls, h)
	return t, nil
}

// ServeHTTP implements http.Handler.
func (t *tus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Header.Del("X-HTTP-Method-Override") // what is checked here must be what tusd does
	name := strings.Trim(strings.TrimPrefix(r.URL.Path, wire.PathCalls), "/")
	if name == "" {
		if size, err := strconv.ParseInt(r.Header.Get("Upload-Length"), 10, 64); err == nil && size > t.in.cfg.MaxCall { // in words that help
			http.Error(w, tooLarge(t.in.cfg.MaxCall), http.StatusRequestEntityTooLarge)
			return
		}
		serveWhile(t.handler, w, r)
		return
	}
	file, err := wire.ParseFileID(name)
	if err != nil {
		t.fail(w, r, hq.ErrNotFound)
		return
	}
	if file.Device != deviceOf(r.Context()) {
		t.fail(w, r, fmt.Errorf("%w: this upload is another recorder's", hq.ErrRefused))
		return
	}
	if r.Method == http.MethodHead || r.Method == http.MethodPatch {
		done, err := t.settle(r.Context(), file)
		if err == nil && done == nil && r.Method == http.MethodPatch {
			err = t.in.cfg.Files.Room(max(r.ContentLength, 0))
		}
		if err != nil {
			t.fail(w, r, err)
			return
		}
		if done != nil {
			done.send(w, r.Method)
			return
		}
	}
	serveWhile(t.handler, w, r)
}

// settled is an upload that is over.
type settled struct {
	size    int64
	receipt string
}

// send answers HEAD and PATCH of an upload that is over as tus would, with the receipt.
func (s *settled) send(w http.ResponseWriter, method string) {
	h := w.Header()
	h.Set("Tus-Resumable", "1.0.0")
	h.Set("Cache-Control", "no-store")
	h.Set("Upload-Offset", strconv.FormatInt(s.size, 10))
	h.Set(wire.HeaderReceipt, s.receipt)
	if method == http.MethodHead {
		h.Set("Upload-Length", strconv.FormatInt(s.size, 10))
		w.WriteHeader(http.StatusOK)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// settle finishes an upload that has all its bytes and no receipt yet: tusd calls back with the last byte only, and
// something may have come between. Nil: it is not over.
func (t *tus) settle(ctx context.Context, file wire.FileID) (*settled, error) {
	u, err := t.spool.find(file)
	if errors.Is(err, handler.ErrNotFound) {
		return t.over(ctx, file)
	}
	if err != nil {
		return nil, err
	}
	if !u.whole() {
		return nil, nil
	}
	receipt, err := t.finish(ctx, u, nil)
	if err != nil {
		return nil, err
	}
	return &settled{u.size, receipt}, nil
}

// over answers for an upload whose spool is gone: nil where its call is not here.
func (t *tus) over(ctx context.Context, file wire.FileID) (*settled, error) {
	known, err := t.in.known(ctx, file.Device, file.Call)
	if err != nil || known.Stage != hq.StageDurable {
		return nil, err
	}
	receipt, err := t.in.cfg.Library.Receipt(ctx, file.Call)
	return &settled{known.Size, receipt}, err
}

// finish brings an upload that has all its bytes to its receipt, and removes its spool when that is not needed any more.
//
// The hash of a call that was sent while it was in progress comes at its end, in a header of declared; nil, after a crash,
// leaves it to the manifest.
func (t *tus) finish(ctx context.Context, u *upload, declared http.Header) (string, error) {
	sha := u.sha
	if sha == "" {
		sha = declared.Get(wire.HeaderSHA256)
	}
	receipt, err := t.in.finish(context.WithoutCancel(ctx), delivery{
		device: u.file.Device, id: u.file.Call, via: viaHTTPS, path: u.path(), size: u.size, sha256: sha,
	})
	if err == nil || errors.Is(err, errMismatch) || errors.Is(err, hq.ErrRefused) {
		if err := remove(u.path()); err != nil {
			t.in.cfg.Log.Error("cannot clear the spool", "error", err)
		}
	}
	return receipt, err
}

// create is called by tusd before an upload is made.
func (t *tus) create(hook handler.HookEvent) (handler.HTTPResponse, handler.FileInfoChanges, error) {
	file, err := t.accept(hook.Context, hook.Upload)
	if err != nil {
		return handler.HTTPResponse{}, handler.FileInfoChanges{}, t.asTus(err)
	}
	meta := handler.MetaData{wire.MetaCall: file.Call.String()}
	if sha := hook.Upload.MetaData[wire.MetaSHA256]; sha != "" {
		meta[wire.MetaSHA256] = sha
	}
	return handler.HTTPResponse{}, handler.FileInfoChanges{
		ID:       file.String(),
		MetaData: meta,
	}, nil
}

// durableError says that a call is here already; the receipt is in it.
type durableError struct{ receipt string }

func (*durableError) Error() string { return "this call is here already" }

// accept decides about an upload that a recorder wants to make, and names it.
func (t *tus) accept(ctx context.Context, upload handler.FileInfo) (wire.FileID, error) {
	device := deviceOf(ctx)
	id, err := call.ParseID(upload.MetaData[wire.MetaCall])
	if err != nil {
		return wire.FileID{}, malformed(fmt.Errorf("Upload-Metadata: %w", err))
	}
	sha := upload.MetaData[wire.MetaSHA256]
	if !wire.IsSHA256(sha) && (sha != "" || !upload.SizeIsDeferred) {
		return wire.FileID{}, malformed(errors.New("Upload-Metadata: sha256 is not a SHA-256 in hex"))
	}
	if upload.Size <= 0 && !upload.SizeIsDeferred {
		return wire.FileID{}, malformed(errors.New("Upload-Length: a call file has at least a header"))
	}
	if err := t.dropEarlier(ctx, device, id); err != nil {
		return wire.FileID{}, err
	}
	known, err := t.in.known(ctx, device, id)
	switch {
	case err != nil:
		return wire.FileID{}, err
	case known.SHA256 != "" && sha != "" && known.SHA256 != sha:
		return wire.FileID{}, conflicts(known)
	case known.Stage == hq.StageDurable:
		receipt, err := t.in.cfg.Library.Receipt(ctx, id)
		if err == nil {
			err = &durableError{receipt}
		}
		return wire.FileID{}, err
	}
	if err := t.in.cfg.Files.Room(upload.Size); err != nil {
		return wire.FileID{}, err
	}
	return wire.FileID{Device: device, Call: id, Attempt: newAttempt()}, nil
}

// dropEarlier clears earlier attempts at a call away, which a recorder that begins anew will not go on with. One that
// has all its bytes is finished, and spares the new one.
func (t *tus) dropEarlier(ctx context.Context, device call.DeviceID, id call.ID) error {
	names, err := t.spool.names(id, string(device)+"-"+id.String()+"-")
	if err != nil {
		return err
	}
	for _, name := range names {
		if u, err := t.spool.parseUpload(name); err == nil && u.whole() {
			if _, err := t.finish(ctx, u, nil); err == nil {
				continue
			}
		}
		if err := remove(filepath.Join(t.spool.of(id), name)); err != nil {
			return err
		}
	}
	return nil
}

func newAttempt() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// finished is called by tusd with the last byte of an upload.
func (t *tus) finished(hook handler.HookEvent) (handler.HTTPResponse, error) {
	u, err := t.spool.upload(hook.Upload)
	var receipt string
	if err == nil {
		receipt, err = t.finish(hook.Context, u, hook.HTTPRequest.Header)
	}
	if err != nil {
		return handler.HTTPResponse{}, t.asTus(err)
	}
	return handler.HTTPResponse{Header: handler.HTTPHeader{wire.HeaderReceipt: receipt}}, nil
}

// asTus gives an error the form in which tusd sends it.
func (t *tus) asTus(err error) error {
	var durable *durableError
	if errors.As(err, &durable) {
		e := handler.NewError("ERR_CALL_DURABLE", err.Error(), http.StatusConflict)
		e.HTTPResponse.Header[wire.HeaderReceipt] = durable.receipt
		return e
	}
	f := t.in.failure(err)
	e := handler.NewError("ERR_LINEKEEPER", f.text, f.code)
	if f.retry > 0 {
		e.HTTPResponse.Header["Retry-After"] = strconv.Itoa(f.retry)
	}
	return e
}

func (t *tus) fail(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Tus-Resumable", "1.0.0")
	t.in.fail(w, r, err)
}

// finishAll finishes what has all its bytes.
func (t *tus) finishAll(ctx context.Context) {
	paths, err := t.spool.all()
	if err != nil {
		t.in.cfg.Log.Error("cannot look through the spool", "error", err)
	}
	for _, path := range paths {
		if ctx.Err() != nil {
			return
		}
		u, err := t.spool.parseUpload(filepath.Base(path))
		if err == nil && u.whole() {
			_, err = t.finish(ctx, u, nil)
		}
		if err != nil {
			t.in.cfg.Log.Error("an upload that has arrived cannot be finished", "upload", path, "error", err)
		}
	}
}

// full makes a full disk the answer that lets a recorder wait.
func full(err error) error {
	if !errors.Is(noRoom(err), hq.ErrNoRoom) {
		return err
	}
	e := handler.NewError("ERR_NO_ROOM", hq.ErrNoRoom.Error(), http.StatusInsufficientStorage)
	e.HTTPResponse.Header["Retry-After"] = strconv.Itoa(waitForRoom)
	return e
}
