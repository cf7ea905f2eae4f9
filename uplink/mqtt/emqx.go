package mqtt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// EMQXName is the name of an EMQX in status and logs.
const EMQXName = "emqx"

// EMQX delivers to an EMQX cluster's own file transfer (5.3.2 or later), with no headquarters behind it: call files, and
// entries as files of their own. It implements uplink.Weak: EMQX signs nothing, and that it has put the file together,
// checked its SHA-256 and exported it (success for fin) is all that there is to know. The status goes out as to
// headquarters; EMQX is asked nothing.
//
// What is sent and expected follows https://docs.emqx.com/en/emqx/latest/file-transfer/client.html. It was not tried on
// an EMQX.
type EMQX struct{ *Transport }

// NewEMQX gives an EMQX for a broker's address, as New.
func NewEMQX(address string, cfg *tls.Config, device call.DeviceID, opts Options) (*EMQX, error) {
	t, err := New(address, cfg, device, opts)
	if err != nil {
		return nil, err
	}
	t.weak = true
	return &EMQX{t}, nil
}

// Name implements uplink.Transport.
func (e *EMQX) Name() string { return EMQXName }

// Weak implements uplink.Weak.
func (e *EMQX) Weak() string { return "not signed: EMQX says that it has put the file together" }

// Have implements uplink.Transport: nobody knows.
func (e *EMQX) Have(context.Context, wire.HaveQuestion) (wire.HaveAnswer, error) {
	return wire.HaveAnswer{}, nil
}

// Deliver implements uplink.Transport. A call in progress waits for its end, whose hash is the only one that there is.
func (e *EMQX) Deliver(ctx context.Context, f uplink.File) (string, error) {
	if f.Grows {
		return "", &uplink.RefusedError{Reason: "calls in progress: the receiver is no headquarters"}
	}
	return e.Transport.Deliver(ctx, f)
}

// Commands implements uplink.Commander: EMQX has none.
func (e *EMQX) Commands(context.Context) ([]string, error) {
	return nil, &uplink.RefusedError{Reason: "the receiver is no headquarters"}
}

// Entries implements uplink.Transport: a batch is a file, whose ID has a hash of it in the place of a call. One that is
// cut is sent again from its beginning.
func (e *EMQX) Entries(ctx context.Context, b wire.EntryBatch) (string, error) {
	name, content, err := b.File()
	if err != nil {
		return "", &uplink.RefusedError{Reason: err.Error()}
	}
	sum := sha256.Sum256(content)
	return e.deliver(ctx, name, uplink.File{
		Call: call.ID(sum[:len(call.ID{})]), Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Bytes: bytes.NewReader(content),
		Save: func([]byte) error { return nil }, Progress: func(int64, int64) {},
	})
}

// word is EMQX's, in the place of a receipt.
func (tr *transfer) word() string {
	id := wire.FileID{Device: tr.t.device, Call: tr.f.Call, Attempt: tr.state.Attempt}
	return fmt.Sprintf("emqx: success for file %s of %d bytes with SHA-256 %s", id, tr.f.Size, tr.f.SHA256)
}
