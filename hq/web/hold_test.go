package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/linekeeper/linekeeper/hq"
)

func TestCallIsPutOnHold(t *testing.T) {
	s := loggedIn(t)
	c := s.add(nil)
	address := "/calls/" + c.ID.String()
	put := func(hold, why string) int {
		return s.ask(http.MethodPost, address+"/hold", url.Values{"hold": {hold}, "why": {why}}).Code
	}
	lacks(t, s.get(address).Body.String(), "Put on hold")
	if code := put("on", "case 12"); code != http.StatusForbidden || len(s.holds) != 0 {
		t.Errorf("by one who may not: %d", code)
	}
	s.users[0].Admin = true
	wants(t, s.get(address).Body.String(), `action="`+address+`/hold"`, `value="on"`, "Put on hold")
	for _, bad := range [][2]string{{"on", "  "}, {"on", strings.Repeat("x", maxHoldWhy+1)}, {"", "case 12"}} {
		if code := put(bad[0], bad[1]); code != http.StatusBadRequest || len(s.holds) != 0 {
			t.Errorf("%q: %d", bad, code)
		}
	}
	if code := put("on", " <case> 12 "); code != http.StatusSeeOther {
		t.Errorf("put on hold: %d", code)
	}
	if want := (hq.Hold{Call: c.ID, On: true, Why: "<case> 12", By: "ana", At: noon}); len(s.holds) != 1 || s.holds[0] != want {
		t.Errorf("%+v", s.holds)
	}
	wants(t, s.get(address).Body.String(), ">on hold<", "&lt;case&gt; 12", "ana · ", `value="off"`, "Let it go")
	if code := put("on", "case 13"); code != http.StatusConflict {
		t.Errorf("twice: %d", code)
	}
	if code := put("off", "closed"); code != http.StatusSeeOther {
		t.Errorf("let go: %d", code)
	}
	page := s.get(address).Body.String()
	wants(t, page, "<b>Let go</b> closed", "<b>Put on hold</b> &lt;case&gt; 12", `value="on"`)
	lacks(t, page, ">on hold<")
}
