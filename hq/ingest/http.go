package ingest

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// maxMessage bounds a message that is not a call file, in bytes, after decompression.
const maxMessage = 2 * wire.MaxEntryBatch

// MaxHeaderBytes is what the http.Server of the Handler should take of headers: tus' metadata stand in one.
const MaxHeaderBytes = 16 << 10

// waitForRoom is what a recorder is told to wait, in seconds, when the disk is full.
const waitForRoom = 60

// statusChecksum is tus' answer to bytes that are not those declared.
const statusChecksum = 460

type deviceKey struct{}

// deviceOf gives the recorder that a request comes from.
func deviceOf(ctx context.Context) call.DeviceID {
	device, _ := ctx.Value(deviceKey{}).(call.DeviceID)
	return device
}

// Handler serves recorders over HTTPS. It has to be served with TLS that asks for the client's certificate (a recorder is
// its common name) and MaxHeaderBytes.
func (in *Ingest) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+wire.PathStatus, func(w http.ResponseWriter, r *http.Request) {
		body, err := readMessage(w, r)
		if err == nil {
			err = in.status(r.Context(), deviceOf(r.Context()), viaHTTPS, body)
		}
		if err != nil {
			in.fail(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST "+wire.PathEntries, func(w http.ResponseWriter, r *http.Request) {
		body, err := readMessage(w, r)
		var receipt string
		if err == nil {
			receipt, err = in.entries(r.Context(), deviceOf(r.Context()), viaHTTPS, body)
		}
		in.answer(w, r, wire.ReceiptAnswer{Receipt: receipt}, err)
	})
	mux.HandleFunc("POST "+wire.PathHave, func(w http.ResponseWriter, r *http.Request) {
		body, err := readMessage(w, r)
		var a wire.HaveAnswer
		if err == nil {
			a, err = in.have(r.Context(), deviceOf(r.Context()), body)
		}
		in.answer(w, r, a, err)
	})
	mux.HandleFunc("GET "+wire.PathCalls+"{call}/receipt", func(w http.ResponseWriter, r *http.Request) {
		receipt, err := in.receipt(r.Context(), deviceOf(r.Context()), r.PathValue("call"))
		in.answer(w, r, wire.ReceiptAnswer{Receipt: receipt}, err)
	})
	in.handleCommands(mux)
	mux.Handle(wire.PathCalls, in.tus)
	mux.HandleFunc("POST "+wire.PathRenew, in.renew)

	all := http.NewServeMux()
	all.Handle("/", in.identify(mux))
	all.HandleFunc("POST "+wire.PathEnrol, in.enrol)
	return all
}

// identify lets known recorders in only.
func (in *Ingest) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			http.Error(w, "a recorder's certificate is needed", http.StatusUnauthorized)
			return
		}
		cert := r.TLS.PeerCertificates[0]
		ended, err := in.cfg.Authority.VerifyRecorder(cert)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		if ended && r.URL.Path != wire.PathRenew {
			http.Error(w, fmt.Sprintf("the certificate ended on %s: renew it at %s", cert.NotAfter.Format(time.DateOnly), wire.PathRenew), http.StatusUnauthorized)
			return
		}
		device := call.DeviceID(cert.Subject.CommonName)
		if err := in.admit(r.Context(), device, viaHTTPS); err != nil {
			in.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), deviceKey{}, device)))
	})
}

// receipt gives the receipt of one of a recorder's calls.
func (in *Ingest) receipt(ctx context.Context, device call.DeviceID, text string) (string, error) {
	id, err := call.ParseID(text)
	if err != nil {
		return "", malformed(err)
	}
	if _, err := in.known(ctx, device, id); err != nil {
		return "", err
	}
	return in.cfg.Library.Receipt(ctx, id)
}

// messageTime is how long a message may take to come in: the largest over 9.6 kbit/s.
const messageTime = 10 * time.Minute

// readMessage reads a request's body, bounded in time, and in size before and after decompression.
func readMessage(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(messageTime)); err != nil {
		return nil, err
	}
	var body io.Reader = http.MaxBytesReader(w, r.Body, maxMessage)
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, malformed(fmt.Errorf("decompress: %w", err))
		}
		body = z
	default:
		return nil, malformed(fmt.Errorf("content encoding %q is not known: gzip is", encoding))
	}
	b, err := io.ReadAll(io.LimitReader(body, maxMessage+1))
	if err != nil {
		return nil, malformed(fmt.Errorf("read message: %w", err))
	}
	if len(b) > maxMessage {
		return nil, malformed(&http.MaxBytesError{Limit: maxMessage})
	}
	return b, nil
}

// answer sends a JSON answer, or what went wrong.
func (in *Ingest) answer(w http.ResponseWriter, r *http.Request, a any, err error) {
	if err != nil {
		in.fail(w, r, err)
		return
	}
	sendJSON(w, r, http.StatusOK, a)
}

// fail sends what went wrong, as a wire.ReceiptAnswer.
func (in *Ingest) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := in.failure(err)
	if f.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.retry))
	}
	sendJSON(w, r, f.code, wire.ReceiptAnswer{Error: f.text})
}

// failure is an error as a recorder is told it.
type failure struct {
	code  int
	retry int // seconds; 0: as it likes
	text  string
}

// failure finds the status that makes a recorder do the right thing. What is wrong with headquarters is logged here,
// and not told to recorders.
func (in *Ingest) failure(err error) failure {
	var wrong *malformedError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return failure{code: http.StatusRequestEntityTooLarge, text: err.Error()}
	case errors.As(err, &wrong):
		return failure{code: http.StatusBadRequest, text: err.Error()}
	case errors.Is(err, errMismatch):
		return failure{code: statusChecksum, text: err.Error()}
	case errors.Is(err, hq.ErrRefused):
		return failure{code: http.StatusForbidden, text: err.Error()}
	case errors.Is(err, hq.ErrNotFound):
		return failure{code: http.StatusNotFound, text: hq.ErrNotFound.Error()}
	case errors.Is(err, hq.ErrNoRoom):
		in.cfg.Log.Error("recorders are told to wait", "error", err)
		return failure{code: http.StatusInsufficientStorage, retry: waitForRoom, text: hq.ErrNoRoom.Error()}
	case errors.Is(err, context.Canceled):
		return failure{code: http.StatusServiceUnavailable, text: "interrupted"}
	default:
		in.cfg.Log.Error("a recorder could not be served", "error", err)
		return failure{code: http.StatusInternalServerError, text: "headquarters is in trouble, see its log"}
	}
}

func sendJSON(w http.ResponseWriter, r *http.Request, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	const worthwhile = 1 << 10
	if len(b) < worthwhile || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.WriteHeader(code)
		_, _ = w.Write(b) // a client that is gone asks again
		return
	}
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(code)
	z := gzip.NewWriter(w)
	_, _ = z.Write(b)
	_ = z.Close()
}
