package frame

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
)

func TestBackAndForth(t *testing.T) {
	want := Request{ID: 7, Write: &Write{Path: "/etc/x", Mode: 0o600, Data: []byte{0, 1, 255}}}
	var port bytes.Buffer
	if err := Send(&port, want); err != nil {
		t.Fatal(err)
	}
	var got Request
	if err := Receive(&port, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := Receive(&port, &got); !errors.Is(err, io.EOF) {
		t.Errorf("after the last message: %v", err)
	}
}

func TestDamaged(t *testing.T) {
	for name, bytesThere := range map[string]string{
		"a cut head":   "\x01\x00",
		"a cut body":   "\x09\x00\x00\x00{}",
		"no body":      "\x09\x00\x00\x00",
		"too long":     "\xff\xff\xff\xff{}",
		"not JSON":     "\x02\x00\x00\x00{{",
		"another type": "\x02\x00\x00\x00[]",
	} {
		if err := Receive(bytes.NewReader([]byte(bytesThere)), &Reply{}); err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
