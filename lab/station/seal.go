package station

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/linekeeper/linekeeper/seal"
)

// NameRecipient names somebody whom a recorder without a headquarters seals its calls to: data is its folder. Nobody keeps
// the key.
func NameRecipient(data string) error {
	file := filepath.Join(data, "identity", "recipients.txt")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, _, err := seal.NewKey()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(key.Recipient().String()+"\n"), 0o600)
}

// CallKeys open the calls that recorders have sealed to headquarters.
func (h *Headquarters) CallKeys() (seal.Keys, error) {
	text, err := os.ReadFile(filepath.Join(h.Dir, "authority", "call.keys"))
	if err != nil {
		return nil, err
	}
	return seal.ParseKeys(string(text))
}
