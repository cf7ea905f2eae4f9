package ledger_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/ledger"
)

// These are the places in entries().
const (
	epoch = iota
	begin
	end
	gap
	tombstone
	missed
	pause
	correction
	refusal
	amendment
	lost
)

func TestParseRefusesForms(t *testing.T) {
	jws, _ := run(t, entries()...)
	for name, c := range map[string]struct {
		entry  int
		change func(*call.Entry)
		reason string
	}{
		"version 0":              {begin, func(e *call.Entry) { e.Version = 0 }, "version 0"},
		"version 2":              {begin, func(e *call.Entry) { e.Version = 2 }, "version 2"},
		"device":                 {begin, func(e *call.Entry) { e.Device = "x" }, "device ID"},
		"other device":           {begin, func(e *call.Entry) { e.Device = "ZZZZZZZZ" }, "JWS header"},
		"number 0":               {begin, func(e *call.Entry) { e.Number = 0 }, "number 0"},
		"first with prev":        {begin, func(e *call.Entry) { e.Number = 1 }, "before it"},
		"no prev":                {begin, func(e *call.Entry) { e.Previous = "" }, "prev"},
		"upper-case prev":        {begin, func(e *call.Entry) { e.Previous = strings.ToUpper(e.Previous) }, "prev"},
		"unknown type":           {begin, func(e *call.Entry) { e.Type = "party" }, "not known"},
		"epoch after itself":     {epoch, func(e *call.Entry) { e.LastEnd.Epoch = e.Epoch }, "follows entry 9"},
		"epoch after entry 0":    {epoch, func(e *call.Entry) { e.LastEnd.Number = 0 }, "follows entry 0"},
		"begin of no call":       {begin, func(e *call.Entry) { e.Call = nil }, "no call"},
		"begin of call zero":     {begin, func(e *call.Entry) { e.Call = &call.ID{} }, "no call"},
		"begin of no line":       {begin, func(e *call.Entry) { e.Line = "" }, "no line"},
		"tombstone of no call":   {tombstone, func(e *call.Entry) { e.Call = nil }, "no call"},
		"refusal of no call":     {refusal, func(e *call.Entry) { e.Call = nil }, "no call"},
		"refusal of no line":     {refusal, func(e *call.Entry) { e.Line = "" }, "no line"},
		"end without manifest":   {end, func(e *call.Entry) { e.Manifest = nil }, "without a manifest"},
		"end of no call":         {end, func(e *call.Entry) { e.Call = nil }, "no call"},
		"manifest hash":          {end, func(e *call.Entry) { e.Manifest.SHA256 = "00" }, "sha256"},
		"manifest chain":         {end, func(e *call.Entry) { e.Manifest.Chain = "" }, "chain"},
		"manifest size":          {end, func(e *call.Entry) { e.Manifest.Size = 0 }, "0 bytes"},
		"manifest rate":          {end, func(e *call.Entry) { e.Manifest.Rate = 0 }, "0 Hz"},
		"manifest gap":           {end, func(e *call.Entry) { e.Manifest.Gaps[0].Frames = 0 }, "gap of 0"},
		"gap without gap":        {gap, func(e *call.Entry) { e.Gap = nil }, "without a gap"},
		"gap of no line":         {gap, func(e *call.Entry) { e.Line = "" }, "no line"},
		"gap, negative":          {gap, func(e *call.Entry) { e.Gap.Position = -1 }, "frame -1"},
		"pause without gap":      {pause, func(e *call.Entry) { e.Gap = nil }, "without a gap"},
		"pause of no line":       {pause, func(e *call.Entry) { e.Line = "" }, "no line"},
		"pause in call zero":     {pause, func(e *call.Entry) { e.Call = &call.ID{} }, "no call"},
		"missed nothing":         {missed, func(e *call.Entry) { e.Missed = nil }, "without a call that rang"},
		"missed, no ring":        {missed, func(e *call.Entry) { e.Missed.Rings = 0 }, "without a call that rang"},
		"missed, waited less":    {missed, func(e *call.Entry) { e.Missed.Waited = -1 }, "without a call that rang"},
		"missed on no line":      {missed, func(e *call.Entry) { e.Line = "" }, "no line"},
		"correction of nothing":  {correction, func(e *call.Entry) { e.Correction = nil }, "no boot"},
		"correction of no boot":  {correction, func(e *call.Entry) { e.Correction.BootID = "" }, "no boot"},
		"correction, other boot": {correction, func(e *call.Entry) { e.Correction.BootID = "c" }, "written in boot"},
		"correction's grade":     {correction, func(e *call.Entry) { e.Correction.Grade = "sure" }, "grade"},
		"amendment of no call":   {amendment, func(e *call.Entry) { e.Call = nil }, "no call"},
		"amendment of nothing":   {amendment, func(e *call.Entry) { e.Amendment = nil }, "without an amendment"},
		"amendment, was":         {amendment, func(e *call.Entry) { e.Amendment.Was = "" }, "SHA-256"},
		"amendment, sha256":      {amendment, func(e *call.Entry) { e.Amendment.SHA256 = "" }, "SHA-256"},
		"amendment, chain":       {amendment, func(e *call.Entry) { e.Amendment.Chain = "" }, "SHA-256"},
		"amendment, no change":   {amendment, func(e *call.Entry) { e.Amendment.SHA256 = e.Amendment.Was }, "changes nothing"},
		"amendment, no hole":     {amendment, func(e *call.Entry) { e.Amendment.Holes = nil }, "without a hole"},
		"holes out of order":     {amendment, func(e *call.Entry) { h := e.Amendment.Holes; h[0], h[1] = h[1], h[0] }, "a hole of"},
		"holes that overlap":     {amendment, func(e *call.Entry) { e.Amendment.Holes[0].Size = 201 }, "a hole of"},
		"holes' records overlap": {amendment, func(e *call.Entry) { e.Amendment.Holes[0].Records = 4 }, "a hole of"},
		"hole of no record":      {amendment, func(e *call.Entry) { e.Amendment.Holes[0].Records = 0 }, "a hole of"},
		"hole of no byte":        {amendment, func(e *call.Entry) { e.Amendment.Holes[0].Size = 0 }, "a hole of"},
		"hole beyond the file":   {amendment, func(e *call.Entry) { e.Amendment.Holes[1].Size++ }, "a hole of"},
		"hole before the file":   {amendment, func(e *call.Entry) { e.Amendment.Holes[0].Offset = -1 }, "a hole of"},
		"hole without an end":    {amendment, func(e *call.Entry) { e.Amendment.Holes[1].Size = 1<<63 - 1 }, "a hole of"},
		"lost nothing":           {lost, func(e *call.Entry) { e.Lost = nil }, "names no entries"},
		"lost number 0":          {lost, func(e *call.Entry) { e.Lost.First = 0 }, "names no entries"},
		"lost backwards":         {lost, func(e *call.Entry) { e.Lost.First = 3 }, "names no entries"},
		"lost itself":            {lost, func(e *call.Entry) { e.Lost.Last = e.Number }, "names no entries"},
		"some lost and no prev":  {lost, func(e *call.Entry) { e.Lost.First, e.Previous = 1, "" }, "prev"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := ledger.Parse(jws[c.entry])
			if err != nil {
				t.Fatal(err)
			}
			c.change(&e)
			if _, err := ledger.Parse(raw(t, key, e)); err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %v, want %q", err, c.reason)
			}
		})
	}
}

func TestParseRefusesWhatIsNoEntry(t *testing.T) {
	jws, _ := run(t, entries()...)
	good := string(jws[2])
	payload := []byte(strings.Split(good, ".")[1])
	parts := func(i int, change func(string) string) string {
		p := strings.Split(good, ".")
		p[i] = change(p[i])
		return strings.Join(p, ".")
	}
	for name, c := range map[string]struct{ jws, reason string }{
		"empty":            {"", "three parts"},
		"two parts":        {good[:strings.LastIndex(good, ".")], "three parts"},
		"four parts":       {good + ".", "three parts"},
		"unsigned":         {parts(2, func(string) string { return "" }), "signature"},
		"half a signature": {parts(2, func(s string) string { return s[:43] }), "signature"},
		"loose bits":       {parts(2, func(s string) string { return s[:85] + "_" }), "signature"},
		"broken signature": {parts(2, func(s string) string { return s[:40] + "\n" + s[40:] }), "signature"},
		"version 0":        {"eyJhbGciOiJub25lIn0." + string(payload) + ".", "JWS header"},
		"no kid":           {string(sign(key, `{"alg":"EdDSA"}`, decode(t, payload))), "JWS header"},
		"spaces in header": {string(sign(key, `{"alg":"EdDSA", "kid":"`+string(start.Device)+`"}`, decode(t, payload))), "JWS header"},
		"header has more":  {string(sign(key, `{"alg":"EdDSA","kid":"`+string(start.Device)+`","b64":true}`, decode(t, payload))), "JWS header"},
		"padded":           {parts(1, func(s string) string { return s + "=" }), "payload"},
		"line break":       {parts(1, func(s string) string { return s[:40] + "\n" + s[40:] }), "line breaks"},
		"not JSON":         {string(sign(key, "{}", []byte("{}{"))), "payload"},
		"no object":        {string(sign(key, "{}", []byte("[]"))), "payload"},
		"nothing in it":    {string(sign(key, "{}", []byte("{}"))), "version 0"},
		"huge":             {good + strings.Repeat("A", ledger.MaxEntry), "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ledger.Parse([]byte(c.jws)); err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %v, want %q", err, c.reason)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	jws, _ := run(f, entries()...)
	for _, j := range jws {
		f.Add(j)
	}
	f.Fuzz(func(t *testing.T, j []byte) {
		e, err := ledger.Parse(j)
		if _, bad := ledger.Verify(j, pub); bad == nil && (err != nil || !contains(jws, j)) {
			t.Errorf("verified what was never signed, or cannot be parsed: %v", err)
		}
		if err != nil {
			return
		}
		if _, err := ledger.Check(nil, nil, j); err != nil {
			t.Errorf("alone in a run: %v", err)
		}
		if e.Device != start.Device {
			return
		}
		again, err := ledger.Verify(raw(t, key, e), pub)
		if err != nil || fmt.Sprintf("%+v", again.Anchor) != fmt.Sprintf("%+v", e.Anchor) || again.Number != e.Number || again.Type != e.Type {
			t.Errorf("read %+v, written and read again %+v, %v", e, again, err)
		}
	})
}

func contains(list [][]byte, b []byte) bool {
	for _, x := range list {
		if bytes.Equal(x, b) {
			return true
		}
	}
	return false
}
