package call

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
)

// crockford is Douglas Crockford's base32 alphabet: no I, L, O, U.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// ID names one call everywhere: 128 random bits, drawn when the call begins. As text it is 26 characters of
// Crockford base32.
type ID [16]byte

// NewID draws an ID.
func NewID() ID {
	var id ID
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return id
}

// ParseID reads the text form.
func ParseID(s string) (ID, error) {
	var id ID
	if err := decode(id[:], s); err != nil {
		return ID{}, fmt.Errorf("call ID %q: %w", s, err)
	}
	return id, nil
}

// String is the text form.
func (id ID) String() string { return crockford.EncodeToString(id[:]) }

// IsZero tells the ID that no call has.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// DeviceID names a recorder: 8 characters of Crockford base32, from its public key.
type DeviceID string

// DeviceIDOf is the ID of the recorder that holds the key: the first 40 bits of the SHA-256 of its public key.
func DeviceIDOf(key ed25519.PublicKey) DeviceID {
	sum := sha256.Sum256(key)
	return DeviceID(crockford.EncodeToString(sum[:5]))
}

// ParseDeviceID checks the form of a device ID that came from outside.
func ParseDeviceID(s string) (DeviceID, error) {
	var b [5]byte
	if err := decode(b[:], s); err != nil {
		return "", fmt.Errorf("device ID %q: %w", s, err)
	}
	return DeviceID(s), nil
}

// Epoch is the life of one ring: the numbers of a recorder's entries are gapless within it. It is drawn at random when
// a ring is made, so that two rings of one recorder never share one. As text it is 13 characters of Crockford base32.
type Epoch uint64

// NewEpoch draws an epoch.
func NewEpoch() Epoch {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return Epoch(binary.BigEndian.Uint64(b[:]))
}

// String is the text form.
func (e Epoch) String() string {
	return crockford.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(e)))
}

// MarshalText implements encoding.TextMarshaler.
func (e Epoch) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *Epoch) UnmarshalText(b []byte) error {
	var raw [8]byte
	if err := decode(raw[:], string(b)); err != nil {
		return fmt.Errorf("epoch %q: %w", b, err)
	}
	*e = Epoch(binary.BigEndian.Uint64(raw[:]))
	return nil
}

// decode fills dst from s, which must be its only text form.
func decode(dst []byte, s string) error {
	if len(s) != crockford.EncodedLen(len(dst)) {
		return fmt.Errorf("%d characters, want %d", len(s), crockford.EncodedLen(len(dst)))
	}
	b, err := crockford.DecodeString(s)
	if err != nil {
		return fmt.Errorf("not Crockford base32: %w", err)
	}
	if crockford.EncodeToString(b) != s {
		return fmt.Errorf("not in its shortest form")
	}
	copy(dst, b)
	return nil
}
