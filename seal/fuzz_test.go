package seal_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/seal"
)

// seeds gives a fuzzer the vectors, whole, cut and with something behind them.
func seeds(f *testing.F) seal.Keys {
	var keys seal.Keys
	for _, name := range vectorNames {
		v := readVector(f, name)
		keys = v.keys
		f.Add(v.file)
		f.Add(v.file[:len(v.file)-3])
		f.Add(append(bytes.Clone(v.file), 1))
	}
	f.Add([]byte{})
	return keys
}

// FuzzRecord: whatever is taken for a record is one, to the byte, and gives no more than it has.
func FuzzRecord(f *testing.F) {
	for _, name := range vectorNames {
		in := seal.NewReader(bytes.NewReader(readVector(f, name).file))
		for at := int64(0); ; at = in.Offset() {
			if _, err := in.Next(); err != nil {
				break
			}
			f.Add(readVector(f, name).file[at:in.Offset()])
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := seal.ParseRecord(data)
		_, headerErr := seal.ParseHeader(data)
		_, endErr := seal.ParseEnd(data)
		if err != nil {
			if headerErr == nil || endErr == nil {
				t.Errorf("%v, and yet %v, %v", err, headerErr, endErr)
			}
			return
		}
		if len(r.Body) != len(data)-seal.HeadSize || !r.Kind.InFile() || headerErr == nil && r.Kind != call.KindHeader ||
			endErr == nil && r.Kind != call.KindEnd {
			t.Errorf("%+v, %v, %v", r, headerErr, endErr)
		}
		if r.Kind == call.KindHole && !bytes.ContainsFunc(r.Body, func(b rune) bool { return b != 0 }) && r.Frames > 0 &&
			int64(len(data)) >= seal.HeadSize*int64(r.Frames) {
			if again := seal.Hole(r.Number, r.Frames, int64(len(data))); !bytes.Equal(again, data) {
				t.Errorf("hole %x is made again as %x", data, again)
			}
		}
		var keys seal.Keys
		if o, err := keys.Unlock(r, r); err == nil {
			if body, err := o.Open(nil, r); err != nil || !bytes.Equal(body, r.Body) {
				t.Errorf("of a call in clear: %v", err)
			}
		}
	})
}

// FuzzVerify: what is whole agrees with itself, however it is read.
func FuzzVerify(f *testing.F) {
	keys := seeds(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := seal.Verify(bytes.NewReader(file), keys)
		if err == nil && (c.Size != int64(len(file)) || c.Frames != c.End.Frames || c.Records != c.End.Records || c.SHA256 == "") {
			t.Errorf("a file of %d bytes is whole with %+v", len(file), c)
		}
		unkeyed, unkeyedErr := seal.Verify(bytes.NewReader(file), nil)
		if err == nil && (unkeyedErr != nil || unkeyed.SHA256 != c.SHA256 || unkeyed.Chain != c.Chain || len(unkeyed.Marks) > len(c.Marks)) {
			t.Errorf("without a key: %+v, %v", unkeyed, unkeyedErr)
		}
		_, media, openErr := seal.OpenMedia(bytes.NewReader(file), keys)
		if openErr == nil {
			n, mediaErr := io.Copy(io.Discard, media)
			if n > int64(len(file)) || err == nil && c.Opened && mediaErr != nil {
				t.Errorf("%d bytes of media, %v, of a file of %d: %v", n, mediaErr, len(file), err)
			}
		}
		w, end, whole, resumeErr := seal.ResumeWriter(bytes.NewReader(file))
		if err == nil && (resumeErr != nil || !whole || w.SHA256() != c.SHA256 || w.Chain() != c.Chain) {
			t.Errorf("resume of a whole file: %v", resumeErr)
		}
		if resumeErr == nil && !whole {
			if _, endErr := w.End(end); endErr != nil {
				t.Errorf("a resumed call cannot be ended: %v", endErr)
			}
		}
	})
}

// FuzzSalvage: it comes to an end, gives no more than there is, and of a file that opens as a whole all of it.
func FuzzSalvage(f *testing.F) {
	keys := seeds(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		_, in, err := seal.Salvage(bytes.NewReader(file), keys)
		c, verifyErr := seal.Verify(bytes.NewReader(file), keys)
		if err != nil {
			if verifyErr == nil && c.Opened {
				t.Errorf("whole, and not salvaged: %v", err)
			}
			return
		}
		got, err := io.ReadAll(in)
		if err != nil || len(got) > len(file) {
			t.Fatalf("%d bytes of media of a file of %d: %v", len(got), len(file), err)
		}
		lost, at := int64(0), int64(0)
		for _, l := range in.Found().Lost {
			if l.Offset < at || l.Size < 0 {
				t.Fatalf("lost %+v", in.Found().Lost)
			}
			lost, at = lost+l.Size, l.Offset+l.Size
		}
		if at > int64(len(file)) || lost+int64(len(got)) > int64(len(file)) {
			t.Errorf("%d bytes lost and %d given of %d", lost, len(got), len(file))
		}
		if verifyErr != nil {
			return
		}
		_, media, err := seal.OpenMedia(bytes.NewReader(file), keys)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(media)
		if err != nil || !bytes.Equal(got, want) || len(in.Found().Lost) < len(c.Holes) {
			t.Errorf("of a whole file %q, want %q, %+v, %v", got, want, in.Found(), err)
		}
	})
}

// FuzzKeys: no text makes the parsers fail otherwise than with an error.
func FuzzKeys(f *testing.F) {
	secret, err := os.ReadFile(filepath.FromSlash(vectorKeys))
	if err != nil {
		f.Fatal(err)
	}
	keys, err := seal.ParseKeys(string(secret))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(secret))
	f.Add("# headquarters\n" + keys[0].String() + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		if to, err := seal.ParseRecipients(text); err == nil {
			if again, err := seal.ParseRecipients(to[0].String()); err != nil || again[0].String() != to[0].String() {
				t.Errorf("%s is read again as %v, %v", to[0], again, err)
			}
			if _, records, err := seal.NewWriter(header, to); err != nil || len(records) != 2 {
				t.Errorf("sealed to %v: %v", to, err)
			}
		}
		if keys, err := seal.ParseKeys(text); err == nil && len(keys) == 0 {
			t.Error(errors.New("no key is no error"))
		}
	})
}
