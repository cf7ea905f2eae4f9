package wire

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Zip encodes a message as gzipped JSON, which Decode reads as well as JSON. Entries shrink to half.
func Zip(message any) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		err = errors.Join(json.NewEncoder(z).Encode(message), z.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return b.Bytes(), nil
}

// isZipped tells gzip (RFC 1952) from JSON.
func isZipped(b []byte) bool { return bytes.HasPrefix(b, []byte{0x1f, 0x8b}) }

// unzip reads a gzipped message, up to the bound of one that is not.
func unzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("decompress message: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, 2*MaxEntryBatch+1))
	if err != nil {
		return nil, fmt.Errorf("decompress message: %w", err)
	}
	return plain, nil
}
