package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/linekeeper/linekeeper/call"
)

// CallFileName is a call's file for a receiver that keeps files by name.
func CallFileName(id call.ID) string { return id.String() + ".lkc" }

// File is a batch of entries for a receiver that knows nothing of entries, and keeps files by name: each entry as it was
// signed, a line each.
func (b EntryBatch) File() (name string, content []byte, err error) {
	if len(b.Entries) == 0 {
		return "", nil, errors.New("a file of no entries")
	}
	first, err := peekEntry(b.Entries[0])
	if err != nil {
		return "", nil, err
	}
	last, err := peekEntry(b.Entries[len(b.Entries)-1])
	if err != nil {
		return "", nil, err
	}
	name = fmt.Sprintf("%s-%s-%d-%d.jws", first.Device, first.Epoch, first.Number, last.Number)
	return name, []byte(strings.Join(b.Entries, "\n") + "\n"), nil
}

// peekEntry reads an entry without checking its signature: it is the recorder's own.
func peekEntry(jws string) (e call.Entry, err error) {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return e, errors.New("entry is no compact JWS")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &e)
	}
	if err != nil {
		return e, fmt.Errorf("read an entry: %w", err)
	}
	return e, nil
}
