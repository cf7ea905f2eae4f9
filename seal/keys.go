package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/linekeeper/linekeeper/call"
)

// Recipient is who can open the calls sealed to it: the public half of a Key. It is no secret.
type Recipient struct{ age *age.X25519Recipient }

// String is its text form, age1....
func (r Recipient) String() string { return r.age.String() }

// Recipients are those to whom a call is sealed: each of them can open it alone. None at all: the call stays in clear.
type Recipients []Recipient

// ParseRecipients reads recipients (age1..., X25519), one a line; empty lines and those that begin with # are passed
// over. A text without one is an error, so that nothing is recorded in clear by mistake; so are more than 32.
func ParseRecipients(text string) (Recipients, error) {
	var to Recipients
	for number, line := range lines(text) {
		if strings.HasPrefix(strings.ToUpper(line), "AGE-SECRET-KEY-") {
			return nil, fmt.Errorf("read recipients: line %d is a secret key, which belongs to headquarters only: give its public half (age1...), and make a new key if this one was on a recorder", number)
		}
		r, err := age.ParseX25519Recipient(line)
		if err == nil {
			_, err = r.Wrap(make([]byte, 16)) // a point that nothing can be wrapped to must not be found out in a call
		}
		if err != nil {
			return nil, fmt.Errorf("read recipients: line %d is not a recipient (age1 and 58 more characters)", number)
		}
		to = append(to, Recipient{r})
	}
	if len(to) == 0 || len(to) > maxRecipients {
		return nil, fmt.Errorf("read recipients: there are %d, want 1 to %d (age1..., one a line)", len(to), maxRecipients)
	}
	return to, nil
}

// lines gives the lines that say something, with their numbers from 1.
func lines(text string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		number := 0
		for line := range strings.Lines(text) {
			number++
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' && !yield(number, line) {
				return
			}
		}
	}
}

// wrap gives the age file of a call key.
func (to Recipients) wrap(key []byte) ([]byte, error) {
	if len(to) > maxRecipients {
		return nil, fmt.Errorf("wrap call key: %d recipients, at most %d", len(to), maxRecipients)
	}
	all := make([]age.Recipient, len(to))
	for i, r := range to {
		all[i] = r.age
	}
	var wrapped bytes.Buffer
	w, err := age.Encrypt(&wrapped, all...)
	if err == nil {
		_, err = w.Write(key)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("wrap call key: %w", err)
	}
	return wrapped.Bytes(), nil
}

// Key is a secret key that opens calls. However it is printed, it shows its Recipient and not itself.
type Key struct{ age *age.X25519Identity }

// NewKey draws a key. Its secret text (AGE-SECRET-KEY-1...) is all there is of it, and must be kept safe and twice:
// calls sealed to it open with nothing else.
func NewKey() (k Key, secret string, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return Key{}, "", fmt.Errorf("draw key: %w", err)
	}
	return Key{id}, id.String(), nil
}

// Recipient is its public half.
func (k Key) Recipient() Recipient { return Recipient{k.age.Recipient()} }

// String is that of the key's recipient.
func (k Key) String() string { return k.Recipient().String() }

// GoString is that of the key's recipient too.
func (k Key) GoString() string { return k.String() }

// Keys open calls; each call is tried with all of them.
type Keys []Key

// ParseKeys reads secret keys (AGE-SECRET-KEY-1..., X25519), one a line, as age-keygen writes them; empty lines and
// those that begin with # are passed over. A text without one is an error. No error tells anything of a key.
func ParseKeys(text string) (Keys, error) {
	var keys Keys
	for number, line := range lines(text) {
		id, err := age.ParseX25519Identity(line)
		if err != nil {
			return nil, fmt.Errorf("read keys: line %d is not a secret key (AGE-SECRET-KEY-1 and 58 more characters)", number)
		}
		keys = append(keys, Key{id})
	}
	if len(keys) == 0 {
		return nil, errors.New("read keys: there is none (AGE-SECRET-KEY-1..., one a line)")
	}
	return keys, nil
}

// Unlock gives the Opener of a call: header is its record 0, and key its record 1, which is not looked at where the
// header says that the call is in clear. The error is a *NoKeyError where none of the keys fits, and else of the
// records.
func (k Keys) Unlock(header, key Record) (*Opener, error) {
	if header.Kind != call.KindHeader {
		return nil, fmt.Errorf("unlock call: record of kind %d in place of the header", header.Kind)
	}
	h, err := header.header()
	if err != nil {
		return nil, fmt.Errorf("unlock call: %w", corrupt(0, err))
	}
	o, err := k.unlock(h, header.hash(), key)
	if err != nil {
		return nil, fmt.Errorf("unlock call: %w", corrupt(0, err))
	}
	return o, nil
}

func (k Keys) unlock(h call.Header, sum [sha256.Size]byte, key Record) (*Opener, error) {
	if h.Seal == call.SealNone {
		return &Opener{}, nil
	}
	if key.Kind != call.KindKey {
		return nil, fmt.Errorf("record of kind %d in place of the key", key.Kind)
	}
	if err := key.checkKey(); err != nil {
		return nil, err
	}
	noKey := &NoKeyError{Call: h.Call, Recipients: bytes.Count(key.Body, []byte("\n-> "))}
	all := make([]age.Identity, len(k))
	for i, one := range k {
		all[i] = one.age
		noKey.Tried = append(noKey.Tried, one.String())
	}
	if len(all) == 0 {
		return nil, noKey
	}
	plain, err := age.Decrypt(bytes.NewReader(key.Body), all...)
	var noMatch *age.NoIdentityMatchError
	if errors.As(err, &noMatch) {
		return nil, noKey
	}
	var secret []byte
	if err == nil {
		secret, err = io.ReadAll(plain)
	}
	defer clear(secret)
	if err != nil || len(secret) != chacha20poly1305.KeySize {
		return nil, fmt.Errorf("key record: %d bytes of key: %w", len(secret), errors.Join(err, ErrAltered))
	}
	return newOpener(secret, sum)
}

// checkKey checks the form of a key record, for which no key is needed.
func (r Record) checkKey() error {
	if _, err := age.ExtractHeader(bytes.NewReader(r.Body)); err != nil {
		return fmt.Errorf("key record: %w", err)
	}
	return nil
}

// Opener opens the sealed records of one call. It is safe for concurrent use.
type Opener struct {
	sealed bool
	aead   cipher.AEAD // nil: the call is in clear, or its key record is lost
	header [sha256.Size]byte
}

func newOpener(key []byte, header [sha256.Size]byte) (*Opener, error) {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, fmt.Errorf("call key: %w", err)
	}
	return &Opener{sealed: true, aead: aead, header: header}, nil
}

// Open appends the body of a record in clear to dst, which may be r.Body[:0] and else must not overlap it. Records that
// are not sealed give their body as it is. A body that is not what was sealed in this place of this call is ErrAltered,
// and dst is then undefined.
func (o *Opener) Open(dst []byte, r Record) ([]byte, error) {
	if !o.sealed || !r.Sealed() {
		return append(dst, r.Body...), nil
	}
	if o.aead == nil {
		return nil, fmt.Errorf("open record %d: the call's key record is missing", r.Number)
	}
	var with context
	with.set(o.header, r.appendHead(make([]byte, 0, HeadSize), len(r.Body)))
	plain, err := o.aead.Open(dst, with.nonce[:], r.Body, with.data[:])
	if err != nil {
		return nil, fmt.Errorf("open record %d: %w", r.Number, ErrAltered)
	}
	return plain, nil
}

// context is what a body is sealed with beside the key.
type context struct {
	nonce [chacha20poly1305.NonceSize]byte // the record's number, which no other record of the call has
	data  [sha256.Size + HeadSize]byte     // what is authenticated with it: the header's hash, the record's own head
}

func (c *context) set(header [sha256.Size]byte, head []byte) {
	binary.LittleEndian.PutUint32(c.nonce[:], binary.LittleEndian.Uint32(head[4:]))
	copy(c.data[:], header[:])
	copy(c.data[sha256.Size:], head)
}
