package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
)

// TestTwoRecipients: each of them opens the call alone.
func TestTwoRecipients(t *testing.T) {
	first, second, stranger := newKey(t), newKey(t), newKey(t)
	file := write(t, header, nil, first.Recipient(), second.Recipient()).file()
	for name, keys := range map[string]seal.Keys{"first": {first}, "second": {second}, "one of many": {stranger, second}} {
		if c, err := seal.Verify(bytes.NewReader(file), keys); err != nil || !c.Opened || len(c.Marks) != 2 {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		if got, err := readMedia(file, keys); err != nil || got != media {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	checkNoKey(t, file, seal.Keys{stranger}, 2)
	checkNoKey(t, file, nil, 2)
}

func readMedia(file []byte, keys seal.Keys) (string, error) {
	_, in, err := seal.OpenMedia(bytes.NewReader(file), keys)
	if err != nil {
		return "", err
	}
	got, err := io.ReadAll(in)
	return string(got), err
}

func checkNoKey(t *testing.T, file []byte, keys seal.Keys, recipients int) {
	t.Helper()
	_, openErr := readMedia(file, keys)
	_, _, salvageErr := seal.Salvage(bytes.NewReader(file), keys)
	errs := []error{openErr, salvageErr}
	c, verifyErr := seal.Verify(bytes.NewReader(file), keys)
	if len(keys) > 0 {
		errs = append(errs, verifyErr)
	} else if verifyErr != nil {
		t.Errorf("verify without a key: %v", verifyErr)
	}
	if c.Opened || len(c.Marks) != 1 || c.Frames != 8200 || c.SHA256 == "" {
		t.Errorf("seen without a key: %+v", c)
	}
	for _, err := range errs {
		var noKey *seal.NoKeyError
		if !errors.As(err, &noKey) || noKey.Call != header.Call || noKey.Recipients != recipients || len(noKey.Tried) != len(keys) {
			t.Errorf("got %v", err)
			continue
		}
		for i, k := range keys {
			if noKey.Tried[i] != k.Recipient().String() || !strings.Contains(err.Error(), noKey.Tried[i]) {
				t.Errorf("%v does not name the key of %s", err, k.Recipient())
			}
		}
	}
}

// TestRotation: after headquarters changed its key, old calls open with the old one, new calls with the new one, and
// all of them with both.
func TestRotation(t *testing.T) {
	old, fresh := newKey(t), newKey(t)
	oldCall := write(t, header, nil, old.Recipient()).file()
	newCall := write(t, header, nil, fresh.Recipient()).file()
	both := seal.Keys{fresh, old}
	for name, file := range map[string][]byte{"old": oldCall, "new": newCall} {
		if got, err := readMedia(file, both); err != nil || got != media {
			t.Errorf("%s call with both keys: %q, %v", name, got, err)
		}
	}
	if got, err := readMedia(oldCall, seal.Keys{old}); err != nil || got != media {
		t.Errorf("old call with the old key: %q, %v", got, err)
	}
	checkNoKey(t, oldCall, seal.Keys{fresh}, 1)
	checkNoKey(t, newCall, seal.Keys{old}, 1)
}

// TestNothingInClear: neither media nor marks stand in a sealed file.
func TestNothingInClear(t *testing.T) {
	w, records, err := seal.NewWriter(header, seal.Recipients{newKey(t).Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	chunk, err := w.Chunk(0, 8000, []byte("what was spoken on the line"))
	if err != nil {
		t.Fatal(err)
	}
	digits, err := w.Mark(call.Mark{Kind: call.MarkDigits, Value: "0123456789#", Position: 4711})
	if err != nil {
		t.Fatal(err)
	}
	file := join(append(records, chunk, digits))
	for _, secret := range []string{"what was", "spoken", "the line", "01234567", `"digits"`, "4711"} {
		if bytes.Contains(file, []byte(secret)) {
			t.Errorf("%q stands in the file", secret)
		}
	}
}

func TestParseRecipients(t *testing.T) {
	key, secret, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	one := key.Recipient().String()
	to, err := seal.ParseRecipients("# headquarters\n\n  " + one + "\r\n" + newKey(t).String() + "\n")
	if err != nil || len(to) != 2 || to[0].String() != one {
		t.Errorf("%v, %v", to, err)
	}
	for name, text := range map[string]string{
		"empty": "", "comment": "# " + one, "secret": secret, "secret, lower": strings.ToLower(secret), "typing": one[:61] + "~",
		"short": "age1", "post-quantum": "age1pq1qqqq", "two on a line": one + " " + one,
		"point of low order": "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z",
		"33":                 strings.Repeat(one+"\n", 33),
	} {
		if to, err := seal.ParseRecipients(text); err == nil {
			t.Errorf("%s: %v", name, to)
		} else if strings.Contains(strings.ToUpper(err.Error()), strings.ToUpper(secret[16:])) {
			t.Errorf("%s: the error tells the secret", name)
		}
	}
	if to, err := seal.ParseRecipients(strings.Repeat(one+"\n", 32)); err != nil {
		t.Error(err)
	} else if w, _, err := seal.NewWriter(header, to); err != nil || w.Size() > 4<<10 {
		t.Errorf("sealed to 32: %v", err)
	}
	if _, _, err := seal.NewWriter(header, make(seal.Recipients, 33)); err == nil {
		t.Error("sealed to 33")
	}
}

func TestParseKeys(t *testing.T) {
	key, secret, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.ParseKeys("# created: 2026-11-23T17:00:00Z\n# public key: " + key.String() + "\n" + secret + "\n")
	if err != nil || len(keys) != 1 || keys[0].Recipient().String() != key.Recipient().String() {
		t.Errorf("%v, %v", keys, err)
	}
	for name, text := range map[string]string{
		"empty": "", "recipient": key.Recipient().String(), "typing": secret[:len(secret)-1] + "#", "cut": secret[:50],
	} {
		keys, err := seal.ParseKeys(text)
		if err == nil {
			t.Errorf("%s: %v", name, keys)
		} else if strings.Contains(err.Error(), secret[20:40]) {
			t.Errorf("%s: the error tells the secret", name)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if s := fmt.Sprintf(format, keys); strings.Contains(s, secret[20:40]) || !strings.Contains(s, key.Recipient().String()) {
			t.Errorf("printed with %s it shows %s", format, s)
		}
	}
}

// TestUnlock opens single records, as who jumps to a place in a call does, from several goroutines.
func TestUnlock(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		parse := func(i int) seal.Record {
			r, err := seal.ParseRecord(e.records[i].Data)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		opener, err := e.keys.Unlock(parse(0), parse(1))
		if err != nil {
			t.Fatal(err)
		}
		chunk := parse(e.at(1))
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				got, err := opener.Open([]byte("> "), chunk)
				if err != nil || string(got) != "> first second" {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
		all.Wait()
		own := chunk.Clone()
		if got, err := opener.Open(own.Body[:0], own); err != nil || string(got) != "first second" {
			t.Errorf("in place: %q, %v", got, err)
		}
		end := parse(e.at(5))
		if got, err := opener.Open(nil, end); err != nil || !bytes.Equal(got, end.Body) {
			t.Errorf("an end, which is not sealed: %q, %v", got, err)
		}
		if _, err := e.keys.Unlock(end, parse(1)); err == nil {
			t.Error("an end was taken for a header")
		}
		if e.seal == call.SealNone {
			return
		}
		chunk.Frames++
		if _, err := opener.Open(nil, chunk); !errors.Is(err, seal.ErrAltered) {
			t.Errorf("with other frames: %v", err)
		}
		if _, err := e.keys.Unlock(parse(0), end); err == nil {
			t.Error("an end was taken for a key")
		}
		var noKey *seal.NoKeyError
		if _, err := (seal.Keys{newKey(t)}).Unlock(parse(0), parse(1)); !errors.As(err, &noKey) {
			t.Errorf("another key: %v", err)
		}
	})
}

// TestReaderUnlock: the Reader goes on behind the header and the key.
func TestReaderUnlock(t *testing.T) {
	each(t, func(t *testing.T, e example) {
		for n := 1; n <= len(e.records); n++ {
			in := seal.NewReader(bytes.NewReader(join(e.records[:n])))
			h, opener, err := in.Unlock(e.keys)
			if err != nil || h.Call != header.Call || h.Seal != e.seal {
				t.Fatalf("%d records: %+v, %v", n, h, err)
			}
			if at := int64(len(join(e.records[:min(n, e.at(0))]))); in.Offset() != at {
				t.Errorf("%d records: what is next begins at byte %d, want %d", n, in.Offset(), at)
			}
			for i := min(n, e.at(0)); i < n; i++ {
				rec, err := in.Next()
				if err != nil || rec.Number != uint32(i) || in.Offset() != int64(len(join(e.records[:i+1]))) {
					t.Fatalf("record %d: %+v, %v", i, rec, err)
				}
				if _, err := opener.Open(nil, rec); err != nil {
					t.Errorf("record %d: %v", i, err)
				}
			}
			if _, err := in.Next(); errors.Is(err, io.EOF) != (n == len(e.records)) {
				t.Errorf("behind %d records: %v", n, err)
			}
		}
		// A call that was cut short before its key was stored, and ended after that.
		w, end, _, err := seal.ResumeWriter(bytes.NewReader(e.records[0].Data))
		if err != nil {
			t.Fatal(err)
		}
		rec, err := w.End(end)
		if err != nil {
			t.Fatal(err)
		}
		file := append(bytes.Clone(e.records[0].Data), rec.Data...)
		in := seal.NewReader(bytes.NewReader(file))
		if _, _, err := in.Unlock(e.keys); err != nil || in.Offset() != int64(len(e.records[0].Data)) {
			t.Errorf("a call of nothing: what is next begins at byte %d, %v", in.Offset(), err)
		}
		if got, err := readMedia(file, e.keys); err != nil || got != "" {
			t.Errorf("a call of nothing: %q, %v", got, err)
		}
		if c, err := seal.Verify(bytes.NewReader(file), e.keys); err != nil || c.Records != 2 {
			t.Errorf("a call of nothing: %+v, %v", c, err)
		}
	})
}
