package web

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

func TestCallIsAskedFor(t *testing.T) {
	s := loggedIn(t)
	c := s.add(func(c *hq.Call) { c.Stage = hq.StageEnded })
	address := "/calls/" + c.ID.String()
	wants(t, s.get(address).Body.String(), `action="`+address+`/commands"`, `value="fetch"`, `value="flag"`, `value="requeue"`)
	w := s.ask(http.MethodPost, address+"/commands", url.Values{"kind": {"fetch"}})
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != address || len(s.commands) != 1 {
		t.Fatalf("%d, to %q, %d commands", w.Code, w.Header().Get("Location"), len(s.commands))
	}
	if got := s.commands[0]; got.Kind != wire.CommandFetch || got.Device != c.Device || *got.Call != c.ID || got.By != "ana" {
		t.Errorf("%+v", got)
	}
	wants(t, s.get(address).Body.String(), "<b>Fetch now</b>", "not taken yet", "ana · ")
	s.commands[0].Ended = noon
	wants(t, s.get(address).Body.String(), ">taken<", "confirmed it")
	s.commands[0].Error = "no such call in the ring"
	wants(t, s.get(address).Body.String(), ">not done<", "no such call in the ring")

	for _, bad := range []string{"", "unhold", "format"} {
		if w := s.ask(http.MethodPost, address+"/commands", url.Values{"kind": {bad}}); w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d", bad, w.Code)
		}
	}
	s.calls[0].Stage = hq.StageDurable
	if w := s.ask(http.MethodPost, address+"/commands", url.Values{"kind": {"fetch"}}); w.Code != http.StatusConflict {
		t.Errorf("for a call that is here: %d", w.Code)
	}
	lacks(t, s.get(address).Body.String(), "/commands")
	s.cookie = ""
	if w := s.ask(http.MethodPost, address+"/commands", url.Values{"kind": {"fetch"}}); w.Code == http.StatusSeeOther || len(s.commands) != 1 {
		t.Errorf("without a session: %d, %d commands", w.Code, len(s.commands))
	}
}
