package authority

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/linekeeper/linekeeper/seal"
)

// fileCallKeys holds the keys that open calls, oldest first, a line each.
const fileCallKeys = "call.keys"

// Recipient is the age recipient (age1...) that recorders seal new calls to: the public half of the newest call key.
func (a *Authority) Recipient() (string, error) {
	keys, err := a.readCallKeys()
	if err != nil {
		return "", err
	}
	return keys[len(keys)-1].Recipient().String(), nil
}

// CallKeys are the keys that open calls, a line each (AGE-SECRET-KEY-1...), as the file holds them now: another process
// may have rotated them.
func (a *Authority) CallKeys() (string, error) {
	if _, err := a.readCallKeys(); err != nil {
		return "", err
	}
	text, err := os.ReadFile(a.path(fileCallKeys))
	return string(text), err
}

// RotateCallKey makes a new call key, and gives its recipient. Calls that are sealed from now on need it; the old keys stay,
// for the calls that were sealed to them.
func (a *Authority) RotateCallKey() (recipient string, err error) {
	text, err := a.CallKeys()
	if err != nil {
		return "", err
	}
	return a.addCallKey(text, true)
}

// makeCallKeys makes the first call key where there is none.
func (a *Authority) makeCallKeys() error {
	_, err := a.readCallKeys()
	if errors.Is(err, os.ErrNotExist) {
		_, err = a.addCallKey("", false)
	}
	return err
}

func (a *Authority) addCallKey(before string, replace bool) (recipient string, err error) {
	key, secret, err := seal.NewKey()
	if err != nil {
		return "", fmt.Errorf("make call key: %w", err)
	}
	text := before + fmt.Sprintf("# made %s, recipient %s\n%s\n", a.now().UTC().Format("2006-01-02"), key.Recipient(), strings.TrimSpace(secret))
	if err := publish(a.path(fileCallKeys), []byte(text), replace); err != nil {
		return "", fmt.Errorf("keep new call key: %w", err)
	}
	return key.Recipient().String(), nil
}

func (a *Authority) readCallKeys() (seal.Keys, error) {
	path := a.path(fileCallKeys)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read call keys: %w", err)
	}
	keys, err := seal.ParseKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("call keys %s are damaged: %w (%s)", path, err, preciousCallKeys)
	}
	return keys, nil
}
