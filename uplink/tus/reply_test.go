package tus

import (
	"net/http"
	"net/url"
	"testing"
	"unicode/utf8"
)

// FuzzReply reads answers that a hostile or broken headquarters might give.
func FuzzReply(f *testing.F) {
	f.Add(403, "120", []byte(`{"error":"why"}`), "/v1/calls/x")
	f.Add(503, "Mon, 02 Jan 2006 15:04:05 GMT", []byte("busy\nvery"), "//elsewhere/x")
	f.Add(460, "-1", []byte{0xff, 0xfe}, "https://hq.example:8444@elsewhere/")
	base, err := url.Parse("https://hq.example:8444")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, after string, body []byte, location string) {
		r := &reply{what: "PATCH /x", status: status, header: http.Header{"Retry-After": {after}}, body: body}
		if d := r.retryAfter(); d < 0 {
			t.Errorf("%q is %v", after, d)
		}
		if err := r.err(); err == nil || !utf8.ValidString(r.reason()) || len(r.reason()) > maxReason+2 {
			t.Errorf("%q: %v", body, err)
		}
		tr := &Transport{base: base}
		if where, err := tr.resolve(base, location); err == nil {
			if u, err := url.Parse(where); err != nil || u.Scheme != "https" || u.Host != "hq.example:8444" || u.User != nil {
				t.Errorf("%q led to %q", location, where)
			}
		}
	})
}
