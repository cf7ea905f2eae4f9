package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// Publisher sends a message to a broker's subscribers (QoS 1, not retained). That it arrives cannot be relied on: what
// must arrive is asked for again by the recorder at each connection.
type Publisher interface {
	Publish(topic string, payload []byte) error
}

// message is one that a recorder has published.
type message struct {
	topic    string
	payload  []byte
	packetID uint16
}

// device gives the recorder that a message is said to be of; false: the topic is none of ours.
func (m message) device() (call.DeviceID, bool) {
	if strings.HasPrefix(m.topic, "$") {
		c, err := wire.ParseFileTopic(m.topic)
		return c.File.Device, err == nil
	}
	if device, _, err := wire.ParseResultTopic(m.topic); err == nil {
		return device, true
	}
	device, what, err := wire.ParseDeviceTopic(m.topic)
	return device, err == nil && (what == "status" || what == "entries" || what == "have")
}

// isWill says whether a message is a last will, or as good as one: no sign of life.
func (m message) isWill() bool {
	return strings.HasSuffix(m.topic, "/status") && isOffline(m.payload)
}

// receive does what a message asks for and publishes the answer. The caller has made sure, as far as it can, that the
// message is of the recorder it speaks of, and gives those of one recorder one after the other. When receive returns,
// what the message brought is kept: durably, but for the parts of a call file.
func (in *Ingest) receive(ctx context.Context, out Publisher, m message) {
	device, ok := m.device()
	if !ok {
		in.cfg.Log.Debug("a message that is not for headquarters", "topic", m.topic)
		return
	}
	if !m.isWill() {
		if err := in.admit(ctx, device, viaMQTT); err != nil {
			in.cfg.Log.Warn("a message is refused", "device", device, "error", err)
			switch _, what, _ := wire.ParseDeviceTopic(m.topic); {
			case strings.HasPrefix(m.topic, "$"):
				in.respond(out, device, m, err)
			case what == wire.AboutEntries || what == wire.AboutHave:
				in.reply(out, device, what, "", nil, err)
			}
			return
		}
	}
	in.take(ctx, out, device, m)
}

// take does what a message of a recorder that is let in asks for.
func (in *Ingest) take(ctx context.Context, out Publisher, device call.DeviceID, m message) {
	ctx = context.WithoutCancel(ctx) // begun is ended
	if strings.HasPrefix(m.topic, "$") {
		in.respond(out, device, m, in.file(ctx, out, m))
		return
	}
	if _, number, err := wire.ParseResultTopic(m.topic); err == nil {
		if err := in.result(ctx, device, number, m.payload); err != nil {
			in.cfg.Log.Warn("the result of a command is not taken", "device", device, "command", number, "error", err)
		}
		return
	}
	switch _, what, _ := wire.ParseDeviceTopic(m.topic); what {
	case "status":
		if err := in.status(ctx, device, viaMQTT, m.payload); err != nil {
			in.cfg.Log.Warn("a status is not taken", "device", device, "error", err)
		}
		if !m.isWill() {
			in.publishCommands(ctx, device, out)
		}
	case "entries":
		receipt, err := in.entries(ctx, device, viaMQTT, m.payload)
		in.reply(out, device, wire.AboutEntries, wire.TopicReceipt(device), wire.ReceiptAnswer{Receipt: receipt}, err)
	case "have":
		a, err := in.have(ctx, device, m.payload)
		in.reply(out, device, wire.AboutHave, wire.TopicHad(device), a, err)
	}
}

// reply sends an answer, or why there is none, and after what time the recorder may ask again.
func (in *Ingest) reply(out Publisher, device call.DeviceID, about, topic string, a any, err error) {
	if err == nil {
		in.send(out, topic, a)
		return
	}
	f := in.failure(err)
	why := wire.ReceiptAnswer{Error: f.text, About: about}
	if f.code >= http.StatusInternalServerError {
		why.Later = max(f.retry, 1)
	}
	in.send(out, wire.TopicReceipt(device), why)
}

func isOffline(payload []byte) bool {
	var s wire.Status
	return wire.Decode(payload, &s) == nil && !s.Online
}

// file does one command of a file transfer.
func (in *Ingest) file(ctx context.Context, out Publisher, m message) error {
	c, err := wire.ParseFileTopic(m.topic)
	if err != nil {
		return malformed(err)
	}
	switch c.Verb {
	case wire.FileInit:
		if err := checkMeta(m.payload); err != nil {
			return err
		}
		if done, err := in.already(ctx, out, c.File); done || err != nil {
			return err
		}
		if err := in.cfg.Files.Room(int64(len(m.payload))); err != nil {
			return err
		}
		return in.transfers.begin(c.File, m.payload)
	case wire.FileSegment:
		if c.SHA256 != "" {
			if sum := sha256.Sum256(m.payload); c.SHA256 != hex.EncodeToString(sum[:]) {
				return errMismatch
			}
		}
		if err := in.cfg.Files.Room(int64(len(m.payload))); err != nil {
			return err
		}
		err := in.transfers.segment(c.File, c.Offset, m.payload)
		if errors.Is(err, errIncomplete) { // its transfer was cleared away: perhaps since the call is here
			if done, err := in.already(ctx, out, c.File); done || err != nil {
				return err
			}
		}
		return err
	default:
		return in.fin(ctx, out, c)
	}
}

// already sends the receipt of a call that is here.
func (in *Ingest) already(ctx context.Context, out Publisher, file wire.FileID) (bool, error) {
	known, err := in.known(ctx, file.Device, file.Call)
	if err != nil || known.Stage != hq.StageDurable {
		return false, err
	}
	receipt, err := in.cfg.Library.Receipt(ctx, file.Call)
	if err != nil {
		return false, err
	}
	in.send(out, wire.TopicReceipt(file.Device), wire.ReceiptAnswer{Receipt: receipt})
	return true, nil
}

// fin brings a transfer to its receipt.
func (in *Ingest) fin(ctx context.Context, out Publisher, c wire.FileCommand) error {
	path, err := in.transfers.assemble(c.File, c.Size, in.cfg.Files.Room)
	if errors.Is(err, errIncomplete) {
		// Also the answer to a fin that is sent again after all was cleared away.
		if done, err := in.already(ctx, out, c.File); done || err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	receipt, err := in.finish(ctx, delivery{device: c.File.Device, id: c.File.Call, via: viaMQTT, path: path, size: c.Size, sha256: c.SHA256})
	if err := remove(path); err != nil {
		in.cfg.Log.Error("cannot clear the spool", "error", err)
	}
	if err == nil || errors.Is(err, errMismatch) || errors.Is(err, hq.ErrRefused) {
		if err := in.transfers.discard(c.File); err != nil {
			in.cfg.Log.Error("cannot clear the spool", "error", err)
		}
	}
	if err != nil {
		return err
	}
	in.send(out, wire.TopicReceipt(c.File.Device), wire.ReceiptAnswer{Receipt: receipt})
	return nil
}

// respond answers a command of a file transfer.
func (in *Ingest) respond(out Publisher, device call.DeviceID, m message, err error) {
	r := wire.FileResponse{Version: "0.1", Topic: m.topic, PacketID: m.packetID, Description: wire.FileSuccess}
	if err != nil {
		r.ReasonCode, r.Description = 128, in.reason(err)
	} else if c, err := wire.ParseFileTopic(m.topic); err == nil && c.Verb == wire.FileInit {
		r.Have = in.transfers.have(c.File)
	}
	in.send(out, wire.TopicFileResponse(device), r)
}

// reason puts an error into the words that a recorder acts on: some begin anew, on refused it parks the call, on
// timeout it tries again later.
func (in *Ingest) reason(err error) string {
	var wrong *malformedError
	switch {
	case errors.Is(err, errIncomplete), errors.Is(err, errMetaConflict):
		return err.Error()
	case errors.Is(err, errMismatch):
		return wire.FileChecksumMismatch
	case errors.As(err, &wrong), errors.Is(err, hq.ErrRefused):
		return wire.FileRefused + ": " + strings.TrimPrefix(err.Error(), hq.ErrRefused.Error()+": ")
	default:
		_ = in.failure(err) // which logs it
		return wire.FileTimeout
	}
}

func (in *Ingest) send(out Publisher, topic string, v any) {
	b, err := json.Marshal(v)
	if err == nil {
		err = out.Publish(topic, b)
	}
	if err != nil {
		in.cfg.Log.Warn("an answer could not be sent, the recorder will ask again", "topic", topic, "error", err)
	}
}
