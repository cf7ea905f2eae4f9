package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

func TestBundleIsMade(t *testing.T) {
	s := loggedIn(t)
	s.users[0].Admin = true
	s.recorders = []hq.Recorder{{Device: "7K3M9QXA", Site: "Lichinga"}}
	s.tokens = []hq.Token{
		{Site: "Cuamba", By: "ana", Made: noon, Expires: noon.Add(time.Hour)},
		{Site: "Pemba", Only: "7K3M9QXA", Made: noon.Add(-48 * time.Hour), Expires: noon.Add(-time.Hour)},
		{Site: "Nampula", Made: noon, Expires: noon, Used: "47Z33QX1"},
	}
	wants(t, s.get("/recorders").Body.String(), `href="/bundles"`)
	wants(t, s.get("/bundles").Body.String(), `action="/bundles"`, `<option>Lichinga</option>`, `<option value="7K3M9QXA">`, wire.BundleAtTop,
		"Cuamba", ">waits<", "Good until 23 Nov 2026, 15:05:12", "<code>7K3M9QXA</code>", ">ended<", "used by 47Z33QX1", "at the machine")

	form := url.Values{"site": {" Lichinga "}, "days": {"7"}, "wifi": {"office"}, "wifi_password": {" long enough "}, "wifi_country": {"mz"}, "settings": {"[[line]]\r\n"}}
	w := s.ask(http.MethodPost, "/bundles", form)
	if w.Code != http.StatusOK || w.Body.String() != "signed.bundle.jws\n" || w.Header().Get("Content-Disposition") != `attachment; filename="linekeeper-bundle.jws"` {
		t.Fatalf("%d %v %q", w.Code, w.Header(), w.Body)
	}
	got := s.ordered[0]
	if len(got.Networks) != 1 || got.Networks[0] != (wire.Network{Kind: "wifi", Name: "office", Password: " long enough ", Country: "MZ"}) {
		t.Errorf("networks %+v", got.Networks)
	}
	if got.Site != "Lichinga" || got.Device != "" || got.Days != 7 || got.By != "ana" || got.Settings != "[[line]]\r\n" {
		t.Errorf("ordered %+v", got)
	}
	if said := s.log.String(); !strings.Contains(said, `msg="a bundle is made" site=Lichinga`) || !strings.Contains(said, "by=ana") || strings.Contains(said, "enough") {
		t.Errorf("the log says %s", said)
	}
	// What cannot be is said in the form, which keeps all but what is secret.
	s.refused = fmt.Errorf("%w: bundle: settings of %d bytes", hq.ErrRefused, 40000)
	w = s.ask(http.MethodPost, "/bundles", form)
	if w.Code != http.StatusUnprocessableEntity {
		t.Error(w.Code)
	}
	wants(t, w.Body.String(), "Bundle: settings of 40000 bytes.", `value="Lichinga"`, `value="office"`, `value="7"`, "[[line]]")
	lacks(t, w.Body.String(), "enough")
}

// TestBundlesAreForAdmins: who may only listen sees no way to it, and has none; nor has another website, or nobody.
func TestBundlesAreForAdmins(t *testing.T) {
	s := loggedIn(t)
	form := url.Values{"site": {"Lichinga"}, "days": {"7"}}
	lacks(t, s.get("/recorders").Body.String(), "/bundles")
	if w := s.get("/bundles"); w.Code != http.StatusForbidden {
		t.Errorf("the page: %d", w.Code)
	}
	for name, headers := range map[string][]string{"no right": nil, "another website": {"Sec-Fetch-Site", "cross-site"}, "no session": {"Cookie", ""}} {
		s.users[0].Admin = name != "no right"
		if w := s.ask(http.MethodPost, "/bundles", form, headers...); w.Code != http.StatusForbidden && w.Code != http.StatusUnauthorized || len(s.ordered) != 0 {
			t.Errorf("%s: %d, %d bundles", name, w.Code, len(s.ordered))
		}
	}
	s.users = nil // removed while logged in
	if w := s.ask(http.MethodPost, "/bundles", form); w.Code != http.StatusForbidden || len(s.ordered) != 0 {
		t.Errorf("a user who is gone: %d", w.Code)
	}
}
