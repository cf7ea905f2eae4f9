package wire

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Dictionary is what a packed message is compressed against (RFC 1950, section 2.2). It never changes: who packs against
// another one says so by its Adler-32, and is not understood.
//
//go:embed dictionary.txt
var Dictionary []byte

// Pack encodes a message for a slow link, and Decode reads it as well as JSON: zlib (RFC 1950) with Dictionary over the
// JSON, or, of entries, over lines. Base64 hides from a compressor what is alike, so each entry is three lines: the header
// and the payload of its JWS decoded, and the signature as it is. So packed, entries have a quarter of their size.
func Pack(message any) ([]byte, error) {
	var text []byte
	var err error
	if b, ok := message.(EntryBatch); ok {
		text = b.lines()
	}
	if text == nil {
		if text, err = json.Marshal(message); err != nil {
			return nil, fmt.Errorf("encode message: %w", err)
		}
	}
	var packed bytes.Buffer
	z, err := zlib.NewWriterLevelDict(&packed, zlib.BestCompression, Dictionary)
	if err == nil {
		_, err = z.Write(text)
		err = errors.Join(err, z.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("pack message: %w", err)
	}
	return packed.Bytes(), nil
}

const partsOfJWS = 3

// lines gives the entries as lines; nil where one would not come back from them as it is.
func (b EntryBatch) lines() (all []byte) {
	for _, jws := range b.Entries {
		parts := strings.Split(jws, ".")
		if len(parts) != partsOfJWS {
			return nil
		}
		for _, part := range parts[:2] {
			plain, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil || bytes.IndexByte(plain, '\n') >= 0 || base64.RawURLEncoding.EncodeToString(plain) != part {
				return nil
			}
			all = append(append(all, plain...), '\n')
		}
		if strings.Contains(parts[2], "\n") {
			return nil
		}
		all = append(append(all, parts[2]...), '\n')
	}
	return all
}

// isLines tells lines from JSON, where a line feed is white space and stands behind nothing that is a value by itself.
func isLines(b []byte) bool {
	header, rest, more := bytes.Cut(b, []byte("\n"))
	return more && len(bytes.TrimSpace(rest)) > 0 && json.Valid(header)
}

// fromLines is the other way round. What a JWS holds is for who verifies it.
func (b *EntryBatch) fromLines(text string) error {
	lines := strings.Split(text, "\n")
	if n := len(lines) - 1; n%partsOfJWS != 0 || lines[n] != "" {
		return errors.New("packed entries end in the middle of one")
	}
	for ; len(lines) > 1; lines = lines[partsOfJWS:] {
		encode := base64.RawURLEncoding.EncodeToString
		b.Entries = append(b.Entries, encode([]byte(lines[0]))+"."+encode([]byte(lines[1]))+"."+lines[2])
	}
	return nil
}

// unpack gives a message as it was before it was packed or gzipped.
func unpack(b []byte) ([]byte, error) {
	var r io.Reader
	var err error
	switch {
	case bytes.HasPrefix(b, []byte{0x1f, 0x8b}): // gzip, RFC 1952
		r, err = gzip.NewReader(bytes.NewReader(b))
	case bytes.HasPrefix(b, []byte{0x78}): // zlib
		r, err = zlib.NewReaderDict(bytes.NewReader(b), Dictionary)
	default:
		return b, nil
	}
	if err == nil {
		b, err = io.ReadAll(io.LimitReader(r, 2*MaxEntryBatch+1))
	}
	if err != nil {
		return nil, fmt.Errorf("decompress message: %w", err)
	}
	return b, nil
}
