package tus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// StockName is the name of a Stock in status and logs.
const StockName = "tus"

// Stock delivers to any server of tus 1.0 that has the creation extension, such as tusd or @tus/server: call files, and
// entries as files of their own. It implements uplink.Weak: such a server signs nothing, and that it has all bytes (204 to
// the last PATCH, with the whole length as its offset) is all that there is to know. It hears no status and is asked
// nothing.
type Stock struct{ *Transport }

// NewStock gives a Stock for the address at which the server makes uploads, https://HOST[:PORT]/PATH, with or without a slash
// at its end, as the server wants it.
func NewStock(address string, cfg *tls.Config, opts Options) (*Stock, error) {
	t, err := New(address, cfg, opts)
	if err != nil {
		return nil, err
	}
	t.stock = address
	return &Stock{t}, nil
}

// Name implements uplink.Transport.
func (s *Stock) Name() string { return StockName }

// Weak implements uplink.Weak.
func (s *Stock) Weak() string { return "not signed: the tus server says that it has all bytes" }

// Status implements uplink.Transport: it only looks whether a tus server is there.
func (s *Stock) Status(ctx context.Context, status wire.Status) error {
	if !status.Online {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodOptions, s.creation(), nil)
	if err != nil {
		return err
	}
	r, err := s.do(req)
	if err != nil {
		return err
	}
	if r.status/100 != 2 {
		return r.err()
	}
	if version := r.header.Get("Tus-Version"); !strings.Contains(version, tusVersion) {
		return fmt.Errorf("%s: no tus %s is spoken there (Tus-Version %q): check the address in the settings", r.what, tusVersion, version)
	}
	return nil
}

// Have implements uplink.Transport: nobody knows.
func (s *Stock) Have(context.Context, wire.HaveQuestion) (wire.HaveAnswer, error) {
	return wire.HaveAnswer{}, nil
}

// Deliver implements uplink.Transport. A call in progress waits for its end, whose hash is the only one that there is.
func (s *Stock) Deliver(ctx context.Context, f uplink.File) (string, error) {
	if f.Grows {
		return "", &uplink.RefusedError{Reason: "calls in progress: the receiver is no headquarters"}
	}
	return s.Transport.Deliver(ctx, f)
}

// Commands implements uplink.Commander: the tus server has none.
func (s *Stock) Commands(context.Context) ([]string, error) {
	return nil, &uplink.RefusedError{Reason: "the receiver is no headquarters"}
}

// Entries implements uplink.Transport: a batch is a file. One that is cut is sent again from its beginning, and may be
// there twice, under the same name and with the same bytes.
func (s *Stock) Entries(ctx context.Context, b wire.EntryBatch) (string, error) {
	name, content, err := b.File()
	if err != nil {
		return "", &uplink.RefusedError{Reason: err.Error()}
	}
	sum := sha256.Sum256(content)
	u := &upload{t: s.Transport, name: name, f: uplink.File{
		Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Bytes: bytes.NewReader(content),
		Save: func([]byte) error { return nil }, Progress: func(int64, int64) {},
	}}
	return u.deliver(ctx)
}

// creation is where uploads are made.
func (t *Transport) creation() string {
	if t.stock != "" {
		return t.stock
	}
	return t.base.String() + wire.PathCalls
}

// metadata is what the upload is of. The hash of a call in progress is not known yet.
func (u *upload) metadata() string {
	all := [][2]string{{wire.MetaCall, u.f.Call.String()}}
	if u.t.stock != "" {
		all = [][2]string{{"filename", u.name}}
	}
	if u.f.SHA256 != "" {
		all = append(all, [2]string{wire.MetaSHA256, u.f.SHA256})
	}
	var text []string
	for _, m := range all {
		text = append(text, m[0]+" "+base64.StdEncoding.EncodeToString([]byte(m[1])))
	}
	return strings.Join(text, ",")
}

// word is a stock server's, in the place of a receipt.
func (u *upload) word() string {
	return fmt.Sprintf("tus: %d of %d bytes are at %s", u.f.Size, u.f.Size, u.state.URL)
}
