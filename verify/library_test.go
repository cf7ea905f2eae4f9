package verify_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/verify"
)

// library is a Source as headquarters is one: it knows each recorder's key, and for which calls it gave its receipt.
type library struct {
	entries map[verify.Ledger][]verify.Line
	order   []verify.Ledger
	key     ed25519.PublicKey
	files   map[call.ID][]byte
	due     map[call.ID]verify.Due // otherwise: whole
	fail    error
}

func (d *day) library() *library {
	d.t.Helper()
	l := &library{entries: map[verify.Ledger][]verify.Line{}, key: d.office.device.Public().(ed25519.PublicKey),
		files: map[call.ID][]byte{}, due: map[call.ID]verify.Due{}}
	l.add(d)
	return l
}

func (l *library) add(d *day) {
	d.t.Helper()
	for _, jws := range d.jws {
		e, err := ledger.Parse(jws)
		must(d.t, err)
		l.take(e, jws)
	}
	for n, file := range d.files {
		if id, err := call.ParseID(strings.TrimSuffix(n, ".lkc")); err == nil {
			l.files[id] = file
		}
	}
}

func (l *library) take(e call.Entry, jws []byte) {
	at := verify.Ledger{Device: e.Device, Epoch: e.Epoch}
	if l.entries[at] == nil {
		l.order = append(l.order, at)
	}
	l.entries[at] = append(l.entries[at], verify.Line{JWS: jws})
}

func (l *library) Ledgers(context.Context) iter.Seq2[verify.Ledger, error] {
	return func(yield func(verify.Ledger, error) bool) {
		for _, at := range l.order {
			if !yield(at, nil) {
				return
			}
		}
		if l.fail != nil {
			yield(verify.Ledger{}, l.fail)
		}
	}
}

func (l *library) Entries(_ context.Context, at verify.Ledger, from uint64) iter.Seq2[verify.Line, error] {
	return func(yield func(verify.Line, error) bool) {
		for _, line := range l.entries[at] {
			if e, err := ledger.Parse(line.JWS); err == nil && e.Number >= from && !yield(line, nil) {
				return
			}
		}
	}
}

func (l *library) Key(context.Context, call.DeviceID) (ed25519.PublicKey, bool, error) {
	return l.key, l.key != nil, nil
}

func (l *library) Open(_ context.Context, id call.ID) (verify.File, error) {
	due, ok := l.due[id]
	if !ok {
		due = verify.DueWhole
	}
	file, ok := l.files[id]
	if !ok {
		return verify.File{Due: due}, nil
	}
	return verify.File{ReadCloser: io.NopCloser(bytes.NewReader(file)), Name: "blob.lkc", Due: due}, nil
}

func (l *library) Files(context.Context) iter.Seq2[verify.Listed, error] {
	return func(yield func(verify.Listed, error) bool) {
		for id, file := range l.files {
			h, _, _ := seal.NewReader(bytes.NewReader(file)).Unlock(nil) // no key is no matter
			if h.Call.IsZero() {
				if !yield(verify.Listed{Call: id}, nil) {
					return
				}
				continue
			}
			at := verify.Ledger{Device: h.Device, Epoch: h.Epoch}
			if !yield(verify.Listed{Call: id, Ledger: at, Number: h.Number}, nil) {
				return
			}
		}
	}
}

func TestLibrary(t *testing.T) {
	o := newOffice(t)
	for name, c := range map[string]struct {
		do     func(d *day, l *library)
		colour verify.Colour
		want   []string
	}{
		"all here": {func(*day, *library) {}, verify.Green, nil},
		"not arrived": {func(d *day, l *library) { delete(l.files, d.calls[19]); l.due[d.calls[19]] = verify.DueLater },
			verify.Amber, []string{"amber incomplete entry 41 call 19"}},
		"a part has arrived": {func(d *day, l *library) {
			l.files[d.calls[19]] = l.files[d.calls[19]][:700]
			l.due[d.calls[19]] = verify.DueLater
		}, verify.Amber, []string{"amber incomplete entry 41 call 19 record 3 in lkc"}},
		"gone after its receipt": {func(d *day, l *library) { delete(l.files, d.calls[9]) },
			verify.Red, []string{"red call-missing entry 21 call 9"}},
		"cut short after its receipt": {func(d *day, l *library) { l.files[d.calls[9]] = l.files[d.calls[9]][:700] },
			verify.Red, []string{"red incomplete entry 21 call 9 record 3 in lkc"}},
		"a begin lost on the card": {func(d *day, l *library) {
			d.add(call.Entry{Type: call.EntryLost, Lost: &call.Lost{First: 20, Last: 20}})
			d.drop(d.begins[9])
			*l = *d.library()
		}, verify.Amber, []string{"amber lost entry 20"}},
		"no key":        {func(d *day, l *library) { l.key = nil }, verify.Amber, []string{"amber signer-unknown"}},
		"another's key": {func(d *day, l *library) { l.key = o.stranger.Public().(ed25519.PublicKey) }, verify.Red, nil},
		"an entry of another ledger": {func(d *day, l *library) {
			other := emptyDay(t, o, 8, nil)
			l.entries[l.order[0]] = append(l.entries[l.order[0]], verify.Line{JWS: other.jws[0]})
		}, verify.Red, []string{"red entry-wrong entry 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDay(t, o)
			l := d.library()
			c.do(d, l)
			r, err := verify.Check(t.Context(), l, verify.Options{Keys: o.keys})
			if err != nil || r.Colour != c.colour || c.want != nil && !slices.Equal(d.brief(r), c.want) {
				t.Errorf("%s %q, %v", r, d.brief(r), err)
			}
		})
	}
	broken := newDay(t, o).library()
	broken.fail = errors.New("database gone")
	if _, err := verify.Check(t.Context(), broken, verify.Options{}); !errors.Is(err, broken.fail) {
		t.Error(err)
	}
}

func TestEpochs(t *testing.T) {
	o := newOffice(t)
	for name, c := range map[string]struct {
		last *call.Seq
		do   func(first *day)
		want []string
	}{
		"linked":            {&call.Seq{Epoch: 7, Number: 41}, func(*day) {}, nil},
		"linked to earlier": {&call.Seq{Epoch: 7, Number: 30}, func(*day) {}, nil},
		"end cut off": {&call.Seq{Epoch: 7, Number: 41}, func(d *day) { d.drop(39, 40); delete(d.files, name(d.calls[19])) },
			[]string{"red entry-missing entry 40"}},
		"not linked":         {nil, func(*day) {}, []string{"amber excerpt entry 1"}},
		"another in between": {&call.Seq{Epoch: 77, Number: 5}, func(*day) {}, []string{"amber excerpt entry 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := newDay(t, o), emptyDay(t, o, 8, c.last)
			second.call(50)
			c.do(first)
			for n, f := range second.files {
				first.files[n] = f
			}
			first.files["second.ledger"] = append(bytes.Join(second.jws, []byte("\r\n")), '\r', '\n')
			r := first.verify(verify.Options{Trust: first.trust()})
			if got := first.brief(r); !slices.Equal(got, c.want) || r.Entries != len(first.jws)+3 {
				t.Errorf("%s %q", r, got)
			}
		})
	}
}
