package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

const (
	bundlesPath = "/bundles"

	maxBundles  = 20       // that the page lists
	maxForm     = 64 << 10 // bytes; the settings are at most half of it
	defaultDays = 30
)

// bundleForm is what was filled in, but for what is secret.
type bundleForm struct {
	Problem                                    string // why it was refused
	Site, Device, WiFi, Country, APN, Settings string
	Days                                       string
	Network                                    bool // one is filled in

	Sites     []string // that there are
	Recorders []hq.Recorder
	File      string // what a bundle is called on a stick
}

// bundleView is a bundle that was made.
type bundleView struct {
	Made           moment
	Site, By, Only string
	State          badge
}

// admin says whether who asks may let recorders in, and put calls on hold.
func (s *server) admin(r *http.Request) (bool, error) {
	u, err := s.Users.User(r.Context(), userOf(r))
	if errors.Is(err, hq.ErrNotFound) { // removed a moment ago
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up user: %w", err)
	}
	return u.Admin, nil
}

// forAdmins refuses everybody else.
func (s *server) forAdmins(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		admin, err := s.admin(r)
		switch {
		case err != nil:
			s.broken(w, r, err)
		case !admin:
			s.fail(w, r, http.StatusForbidden, "Not yours to do", "Only an administrator lets recorders in and puts calls on hold. Whoever runs headquarters can make you one: linekeeper-hq user add "+userOf(r)+" --admin")
		default:
			next(w, r)
		}
	}
}

func (s *server) bundlesPage(w http.ResponseWriter, r *http.Request) {
	s.showBundles(w, r, http.StatusOK, bundleForm{Days: strconv.Itoa(defaultDays)})
}

// showBundles shows the form, as it was filled in, and the bundles that were made.
func (s *server) showBundles(w http.ResponseWriter, r *http.Request, status int, form bundleForm) {
	tokens, err := s.Library.Tokens(r.Context(), maxBundles)
	if err != nil {
		s.broken(w, r, fmt.Errorf("list bundles: %w", err))
		return
	}
	if form.Recorders, err = s.Library.Recorders(r.Context()); err != nil {
		s.broken(w, r, fmt.Errorf("list recorders: %w", err))
		return
	}
	for _, rec := range form.Recorders {
		form.Sites = append(form.Sites, rec.Site)
	}
	slices.Sort(form.Sites)
	form.Sites, form.File = slices.Compact(form.Sites), wire.BundleAtTop
	views := make([]bundleView, 0, len(tokens))
	for _, t := range tokens {
		v := bundleView{Made: s.moment(t.Made), Site: t.Site, By: t.By, Only: string(t.Only)}
		switch {
		case t.Used != "":
			v.State = badge{"good", "used by " + string(t.Used), ""}
		case s.Now().After(t.Expires):
			v.State = badge{"", "ended", "It was not used in time, and lets nobody in any more."}
		default:
			v.State = badge{"warn", "waits", "Good until " + s.moment(t.Expires).Full + "."}
		}
		if v.By == "" {
			v.By = "at the machine"
		}
		views = append(views, v)
	}
	s.showLive(w, r, status, "bundles", "Set up a recorder", liveFrame{Address: bundlesPath, Bundle: &form}, views)
}

// makeBundle has a bundle made, which the browser saves.
func (s *server) makeBundle(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, http.StatusBadRequest, "Not understood", "The form could not be read: it may be too large. Go back and try again.")
		return
	}
	field := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	form := bundleForm{
		Site: field("site"), Device: field("device"), Days: field("days"), WiFi: field("wifi"), Country: strings.ToUpper(field("wifi_country")),
		APN: field("apn"), Settings: r.PostForm.Get("settings"),
	}
	form.Network = form.WiFi != "" || form.APN != ""
	order := hq.BundleOrder{Site: form.Site, Device: call.DeviceID(form.Device), Settings: form.Settings, By: userOf(r)}
	order.Days, _ = strconv.Atoi(form.Days) // 0 is refused
	if form.WiFi != "" {
		order.Networks = append(order.Networks, wire.Network{Kind: wire.NetworkWiFi, Name: form.WiFi, Password: r.PostForm.Get("wifi_password"), Country: form.Country})
	}
	if form.APN != "" {
		order.Networks = append(order.Networks, wire.Network{Kind: wire.NetworkMobile, Name: form.APN, PIN: field("pin")})
	}
	jws, err := s.Bundles.Make(r.Context(), order)
	switch {
	case errors.Is(err, hq.ErrRefused):
		form.Problem = title(strings.TrimPrefix(err.Error(), hq.ErrRefused.Error()+": ")) + "."
		s.showBundles(w, r, http.StatusUnprocessableEntity, form)
		return
	case errors.Is(err, hq.ErrNoRoom):
		s.fail(w, r, http.StatusInsufficientStorage, "Headquarters' disk is full", "It can make no bundle until there is room.")
		return
	case err != nil:
		s.broken(w, r, fmt.Errorf("make bundle: %w", err))
		return
	}
	s.Log.Info("a bundle is made", "site", order.Site, "device", order.Device, "by", order.By)
	w.Header().Set("Content-Type", "application/jose")
	w.Header().Set("Content-Disposition", `attachment; filename="`+wire.BundleAtTop+`"`)
	_, _ = w.Write([]byte(jws + "\n")) // who went away makes another
}
