package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestEverythingButLoginAndAssetsAsksForASession(t *testing.T) {
	s := newSite(t)
	c := s.add(nil)
	id := c.ID.String()
	for _, path := range []string{
		"/", "/?q=x", "/calls/" + id, "/calls/" + id + "/audio", "/calls/" + id + "/peaks", "/calls/" + id + "/wave",
		"/calls/" + id + "/download/opus", "/recorders", "/no/such/page", "/login/../", "//", "/assets/../calls/" + id,
	} {
		for name, cookie := range map[string]string{"none": "", "made up": "made-up"} {
			s.cookie = cookie
			if w := s.get(path); w.Code != http.StatusSeeOther && w.Code != http.StatusMovedPermanently && w.Code != http.StatusTemporaryRedirect ||
				strings.Contains(w.Body.String(), "Lichinga") {
				t.Errorf("%s with cookie %s: %d", path, name, w.Code)
			}
			if w := s.get(path, "Accept", "*/*"); w.Code == http.StatusOK {
				t.Errorf("%s with cookie %s, as a program: %d", path, name, w.Code)
			}
			if w := s.get(path, "HX-Request", "true"); w.Code == http.StatusOK || w.Code == http.StatusUnauthorized && w.Header().Get("HX-Redirect") != "/login" {
				t.Errorf("%s with cookie %s, through htmx: %d %q", path, name, w.Code, w.Header())
			}
		}
	}
	s.cookie = ""
	if w := s.get("/login"); w.Code != http.StatusOK {
		t.Errorf("login page: %d", w.Code)
	}
	if w := s.get("/calls/" + id); w.Header().Get("Location") != "/login?next=%2Fcalls%2F"+id {
		t.Errorf("login does not come back: %q", w.Header().Get("Location"))
	}
}

func TestSessionsEnd(t *testing.T) {
	s := loggedIn(t)
	if w := s.get("/"); w.Code != http.StatusOK {
		t.Fatalf("with a session: %d", w.Code)
	}
	s.now = s.now.Add(time.Hour)
	if w := s.get("/"); w.Code != http.StatusSeeOther {
		t.Errorf("with a session that is over: %d", w.Code)
	}
}

func logIn(s *site, name, password string, headers ...string) *httptest.ResponseRecorder {
	return s.ask(http.MethodPost, "/login", url.Values{"user": {name}, "password": {password}, "next": {"/recorders"}}, headers...)
}

func TestLogInAndOut(t *testing.T) {
	s := newSite(t)
	w := logIn(s, "ana", testPassword)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/recorders" {
		t.Fatalf("%d to %q", w.Code, w.Header().Get("Location"))
	}
	cookie := w.Result().Cookies()[0]
	if cookie.Name != "__Host-linekeeper" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("cookie %+v", cookie)
	}
	if _, found := s.sessions[cookie.Value]; found || len(s.sessions) != 1 {
		t.Error("the token itself is kept")
	}
	s.cookie = cookie.Value
	page := s.get("/recorders").Body.String()
	wants(t, page, "ana", "Log out")

	if w := s.get("/login?next=/recorders"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/recorders" {
		t.Errorf("login page with a session: %d to %q", w.Code, w.Header().Get("Location"))
	}
	w = s.ask(http.MethodPost, "/logout", url.Values{})
	if w.Code != http.StatusSeeOther || len(s.sessions) != 0 {
		t.Errorf("logout: %d, %d sessions are left", w.Code, len(s.sessions))
	}
	if w := s.get("/recorders"); w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/login") {
		t.Errorf("after logout: %d", w.Code)
	}
}

func TestLoginRefuses(t *testing.T) {
	for name, try := range map[string]struct{ user, password string }{
		"wrong password": {"ana", "incorrect horse"}, "no password": {"ana", ""}, "unknown user": {"bob", testPassword},
		"no user": {"", ""}, "very long": {"ana", strings.Repeat("x", 5000)},
	} {
		s := newSite(t)
		w := logIn(s, try.user, try.password)
		if w.Code != http.StatusUnauthorized || len(s.sessions) != 0 || len(w.Header()["Set-Cookie"]) != 0 {
			t.Errorf("%s: %d", name, w.Code)
		}
		wants(t, w.Body.String(), "User name or password is wrong.")
		if try.password != "" && strings.Contains(w.Body.String()+s.log.String(), try.password) {
			t.Errorf("%s: the password stands in the page or the log", name)
		}
	}
}

func TestStoredPasswordThatCannotBeRead(t *testing.T) {
	for _, stored := range []string{"", "secret", "$argon2i$v=19$m=64,t=1,p=1$AAAA$AAAA", "$argon2id$v=18$m=64,t=1,p=1$AAAA$AAAA",
		"$argon2id$v=19$m=99999999,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=64,t=1,p=1$AAAA$", "$argon2id$v=19$m=64,t=0,p=0$AAAA$AAAA"} {
		s := newSite(t)
		s.users[0].Password = stored
		if w := logIn(s, "ana", "secret"); w.Code != http.StatusInternalServerError || len(s.sessions) != 0 {
			t.Errorf("%q: %d", stored, w.Code)
		}
	}
}

func TestHashPassword(t *testing.T) {
	hash := HashPassword("naïve 🔑")
	if right, err := checkPassword(hash, "naïve 🔑"); !right || err != nil {
		t.Errorf("the right password: %v, %v", right, err)
	}
	if right, err := checkPassword(hash, "naive"); right || err != nil {
		t.Errorf("another: %v, %v", right, err)
	}
	if HashPassword("naïve 🔑") == hash {
		t.Error("two hashes of a password are the same: there is no salt")
	}
	// The work done for a user that there is not is that for one that there is.
	cost := func(phc string) string { return phc[:strings.LastIndex(phc[:strings.LastIndex(phc, "$")], "$")] }
	if cost(nobody) != cost(hash) || len(nobody) != len(hash) {
		t.Errorf("%s costs other than %s", nobody, hash)
	}
}

func TestLoginsAreLimited(t *testing.T) {
	s := newSite(t)
	for range loginsOfUser {
		if w := logIn(s, "ana", "guess"); w.Code != http.StatusUnauthorized {
			t.Fatalf("a first guess: %d", w.Code)
		}
	}
	w := logIn(s, "ana", testPassword)
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || len(s.sessions) != 0 {
		t.Fatalf("right, but after too many guesses: %d %v", w.Code, w.Header())
	}
	wants(t, w.Body.String(), "too many attempts", "Try again in")
	s.now = s.now.Add(loginWindow)
	if w := logIn(s, "ana", testPassword); w.Code != http.StatusSeeOther {
		t.Errorf("after the wait: %d", w.Code)
	}
}

func TestThrottle(t *testing.T) {
	now := noon
	fresh := func() *throttle { return newThrottle(func() time.Time { return now }) }

	th := fresh()
	for i := range loginsOfAddress {
		if wait := th.take("192.0.2.1", fmt.Sprint("user", i)); wait != 0 {
			t.Fatalf("attempt %d from an address waits %s", i, wait)
		}
	}
	if wait := th.take("192.0.2.1", "another"); wait != loginWindow {
		t.Errorf("one too many from an address waits %s, want %s", wait, loginWindow)
	}
	if wait := th.take("192.0.2.2", "yet another"); wait != 0 {
		t.Errorf("another address waits %s", wait)
	}

	th = fresh()
	for i := range 3 * loginsOfUser {
		wait := th.take(fmt.Sprint("192.0.2.", i), "ana")
		if refused := i >= loginsOfUser; refused != (wait > 0) {
			t.Errorf("attempt %d as a user, from ever other addresses, waits %s", i, wait)
		}
		now = now.Add(time.Second)
	}
	th.succeeded("ana")
	if wait := th.take("192.0.2.250", "ana"); wait != 0 {
		t.Errorf("after the right password it waits %s", wait)
	}
}

func TestAddressKey(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:5000": "192.0.2.7", "[::ffff:192.0.2.7]:5000": "192.0.2.7", "[2001:db8:1:2:3::4]:5000": "2001:db8:1:2::/64", "@": "@",
	} {
		if got := addressKey(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	for name, headers := range map[string][]string{
		"cross-site":          {"Sec-Fetch-Site", "cross-site"},
		"same-site":           {"Sec-Fetch-Site", "same-site"},
		"an older browser":    {"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
		"an origin of itself": {"Sec-Fetch-Site", "", "Origin", "null"},
	} {
		s := loggedIn(t)
		if w := s.ask(http.MethodPost, "/logout", url.Values{}, headers...); w.Code != http.StatusForbidden || len(s.sessions) != 1 {
			t.Errorf("logout, %s: %d", name, w.Code)
		}
		s = newSite(t)
		if w := logIn(s, "ana", testPassword, headers...); w.Code != http.StatusForbidden || len(s.sessions) != 0 {
			t.Errorf("login, %s: %d", name, w.Code)
		}
	}
}

func TestLoginComesBackToPagesOfOursOnly(t *testing.T) {
	for next, want := range map[string]string{
		"/recorders": "/recorders", "/?q=a&site=b": "/?q=a&site=b", "": "/", "/login": "/", "//evil.example": "/",
		"https://evil.example/": "/", `/\evil.example`: "/", "javascript:alert(1)": "/", "recorders": "/", "/a\r\nb": "/",
		"/%5C%5Cevil.example": "/%5C%5Cevil.example",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q goes to %q, want %q", next, got, want)
		}
	}
}
