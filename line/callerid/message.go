package callerid

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Form is how a message is laid out.
type Form string

// The forms.
const (
	SDMF Form = "SDMF" // single data message format: date, time and number
	MDMF Form = "MDMF" // multiple data message format: fields
	DTMF Form = "DTMF" // keyed digits; see Keyed
)

// Why there is no number, or no name.
const (
	Unavailable = "O" // out of area
	Private     = "P"
)

// Message is a caller ID as it was sent. What a damaged one said is not shown: it has its raw bytes and no more.
type Message struct {
	Position int64 `json:"-"` // where its mark bits were heard first: frames since the receiver was made
	Frames   int64 `json:"-"` // to the end of its last byte

	Form     Form   `json:"form,omitempty"`    // empty: of a type that is not known here
	Modem    string `json:"modem,omitempty"`   // Bell 202, V.23; empty: none
	Intact   bool   `json:"intact"`            // its checksum is right; DTMF has none, and is intact if it is complete
	Waiting  bool   `json:"waiting,omitempty"` // it came in a call, after the alerting tone
	When     string `json:"when,omitempty"`    // MMDDHHMM, by the exchange's clock
	Number   string `json:"number,omitempty"`
	NoNumber string `json:"no_number,omitempty"` // Unavailable, Private, or what else was sent
	Name     string `json:"name,omitempty"`
	NoName   string `json:"no_name,omitempty"`
	Dialled  string `json:"dialled,omitempty"`  // the number that was called
	Redirect string `json:"redirect,omitempty"` // the number that has passed the call on
	Raw      Bytes  `json:"raw,omitempty"`      // all bytes, type and checksum included; of DTMF the keys
}

// Bytes are written in hex.
type Bytes []byte

// MarshalText is the hex digits.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

// UnmarshalText reads them.
func (b *Bytes) UnmarshalText(text []byte) error {
	data, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("read the bytes of a caller ID: %w", err)
	}
	*b = data
	return nil
}

// Value is the message as a mark holds it (call.MarkCallerID): JSON.
func (m Message) Value() string {
	b, err := json.Marshal(m)
	if err != nil {
		return `{"intact":false}` // cannot happen: it holds strings and bytes
	}
	return string(b)
}

// The types of messages, as ETSI EN 300 659-3 and Telcordia GR-30 have them.
const (
	typeSDMF        = 0x04
	typeSDMFWaiting = 0x06 // message waiting, single data
	typeMDMF        = 0x80
	typeMDMFWaiting = 0x82 // message waiting, multiple data
	typeCharge      = 0x86 // advice of charge
)

func known(kind byte) bool {
	switch kind {
	case typeSDMF, typeSDMFWaiting, typeMDMF, typeMDMFWaiting, typeCharge:
		return true
	}
	return false
}

// parse reads a message from its type to its checksum. Raw is a copy.
func parse(raw []byte) Message {
	m := Message{Raw: append(Bytes(nil), raw...)}
	if len(raw) == 0 {
		return m
	}
	switch raw[0] {
	case typeSDMF:
		m.Form = SDMF
	case typeMDMF:
		m.Form = MDMF
	}
	sum := byte(0)
	for _, b := range raw {
		sum += b
	}
	if sum != 0 || len(raw) < 3 || int(raw[1])+3 != len(raw) {
		return m
	}
	m.Intact = true
	body := raw[2 : len(raw)-1]
	switch m.Form {
	case SDMF:
		m.single(body)
	case MDMF:
		m.multiple(body)
	}
	return m
}

// single reads eight digits of date and time, and the number or why there is none.
func (m *Message) single(body []byte) {
	if len(body) < 8 {
		return
	}
	m.When = text(body[:8])
	m.number(text(body[8:]))
}

// number takes a number, which may be the letter that says why there is none.
func (m *Message) number(s string) {
	if s == Unavailable || s == Private {
		m.NoNumber = s
	} else {
		m.Number = s
	}
}

// multiple reads fields: type, length, text. One that goes beyond the end ends it.
func (m *Message) multiple(body []byte) {
	for len(body) >= 2 && len(body) >= 2+int(body[1]) {
		value := text(body[2 : 2+int(body[1])])
		switch body[0] {
		case 0x01:
			m.When = value
		case 0x02:
			m.number(value)
		case 0x03, 0x06: // dialled number, as the network or the directory has it
			if m.Dialled == "" {
				m.Dialled = value
			}
		case 0x04:
			m.NoNumber = value
		case 0x07:
			m.Name = value
		case 0x08:
			m.NoName = value
		case 0x10, 0x12: // first called line identity, redirecting number: ETSI EN 300 659-3
			m.Redirect = value
		}
		body = body[2+int(body[1]):]
	}
}

// text is what can be shown of some bytes: ASCII as it is, the rest as ISO 8859-1, which exchanges use for names, and
// nothing that controls a terminal.
func text(b []byte) string {
	out := make([]rune, 0, len(b))
	for _, c := range b {
		if c < 0x20 || c >= 0x7f && c < 0xa0 {
			c = '?'
		}
		out = append(out, rune(c))
	}
	return string(out)
}
