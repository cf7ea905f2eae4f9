package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/hq"
)

const (
	loginPath     = "/login"
	sessionCookie = "__Host-linekeeper" // the prefix makes browsers insist on Secure, Path=/ and no Domain
	sessionLength = 12 * time.Hour

	maxCredential = 256 // bytes of a user name or password
)

type userKey struct{}

// userOf is who is logged in; empty: nobody.
func userOf(r *http.Request) string {
	name, _ := r.Context().Value(userKey{}).(string)
	return name
}

// withSession lets through what is open to all, and for the rest asks for a session.
func (s *server) withSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := s.session(r)
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, session.User)))
		case !errors.Is(err, hq.ErrNotFound):
			s.broken(w, r, fmt.Errorf("look up session: %w", err))
		case open(r.URL.Path):
			next.ServeHTTP(w, r)
		case r.Header.Get("HX-Request") != "":
			w.Header().Set("HX-Redirect", loginPath) // the whole page goes there, not the part that htmx asked for
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, loginPath+"?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
		default:
			s.fail(w, r, http.StatusUnauthorized, "Please log in", "Your session has ended.")
		}
	})
}

// session is the one that the request belongs to; hq.ErrNotFound: none, or one that is over.
func (s *server) session(r *http.Request) (hq.Session, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return hq.Session{}, hq.ErrNotFound
	}
	session, err := s.Users.Session(r.Context(), tokenHash(cookie.Value))
	if err == nil && !s.Now().Before(session.Expires) {
		return hq.Session{}, hq.ErrNotFound
	}
	return session, err
}

// tokenHash is what is kept of a token, so that a copy of the database opens no session.
func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

type loginView struct {
	Name, Next, Problem string
}

func (s *server) loginPage(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	if userOf(r) != "" {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	s.show(w, r, http.StatusOK, "login", "Log in", loginView{Next: next})
}

func (s *server) logIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, http.StatusBadRequest, "Not understood", "The login form could not be read. Go back and try again.")
		return
	}
	name, password := strings.TrimSpace(r.PostForm.Get("user")), r.PostForm.Get("password")
	view := loginView{Name: name, Next: localPath(r.PostForm.Get("next"))}
	refuse := func(status int, problem string) {
		view.Problem = problem
		s.show(w, r, status, "login", "Log in", view)
	}

	if wait := s.login.take(addressKey(r), name); wait > 0 {
		seconds := int(wait/time.Second) + 1
		w.Header().Set("Retry-After", fmt.Sprint(seconds))
		refuse(http.StatusTooManyRequests,
			fmt.Sprintf("There were too many attempts for this user or from this address. Try again in %d seconds.", seconds))
		return
	}
	right, err := s.passwordRight(r.Context(), name, password)
	if err != nil {
		s.broken(w, r, fmt.Errorf("check password: %w", err))
		return
	}
	if !right {
		s.Log.Warn("a login was refused", "address", addressKey(r))
		refuse(http.StatusUnauthorized, "User name or password is wrong.")
		return
	}
	s.login.succeeded(name)

	token := rand.Text()
	session := hq.Session{TokenSHA256: tokenHash(token), User: name, Expires: s.Now().Add(sessionLength).UTC()}
	if err := s.Users.AddSession(r.Context(), session); err != nil {
		s.broken(w, r, fmt.Errorf("add session: %w", err))
		return
	}
	setSessionCookie(w, token, int(sessionLength/time.Second))
	http.Redirect(w, r, view.Next, http.StatusSeeOther)
}

func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		if err := s.Users.EndSession(r.Context(), tokenHash(cookie.Value)); err != nil && !errors.Is(err, hq.ErrNotFound) {
			s.broken(w, r, fmt.Errorf("end session: %w", err))
			return
		}
	}
	setSessionCookie(w, "", -1)
	http.Redirect(w, r, loginPath, http.StatusSeeOther)
}

func setSessionCookie(w http.ResponseWriter, token string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: token, MaxAge: seconds,
		Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// passwordRight does the same work whether or not there is such a user, so that time does not tell.
func (s *server) passwordRight(ctx context.Context, name, password string) (bool, error) {
	if len(name) > maxCredential || len(password) > maxCredential {
		return false, nil
	}
	stored := nobody
	user, err := s.Users.User(ctx, name)
	switch {
	case err == nil:
		stored = user.Password
	case !errors.Is(err, hq.ErrNotFound):
		return false, err
	}
	select {
	case s.hash <- struct{}{}:
		defer func() { <-s.hash }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	right, err := checkPassword(stored, password)
	return right && stored != nobody, err
}

// localPath is where to go after logging in: only ever a page of ours, whatever the address said.
func localPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") ||
		strings.HasPrefix(u.Path, "//") || strings.ContainsAny(s, "\\\r\n\t") || u.Path == loginPath {
		return "/"
	}
	return u.RequestURI()
}

// addressKey stands for who calls: an IPv4 address, or the /64 that a single IPv6 host has to itself.
func addressKey(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if addr = addr.Unmap(); addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return addr.String()
}
