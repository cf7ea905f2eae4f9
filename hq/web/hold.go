package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/linekeeper/linekeeper/hq"
)

const (
	maxHolds   = 20  // that a call's page shows
	maxHoldWhy = 200 // bytes of a reason: it goes over slow links
)

// holdView is the hold of a call, and what was said about it.
type holdView struct {
	ID      string
	On, May bool // whoever looks may change it
	Most    int  // bytes of a reason
	Said    []heldView
}

type heldView struct {
	What, Why, By string
	At            moment
}

func (s *server) viewHold(r *http.Request, c hq.Call) (*holdView, error) {
	said, err := s.Commands.Holds(r.Context(), c.ID, maxHolds)
	if err != nil {
		return nil, fmt.Errorf("look up holds of call %s: %w", c.ID, err)
	}
	v := &holdView{ID: c.ID.String(), On: len(said) > 0 && said[0].On, Most: maxHoldWhy}
	if v.May, err = s.admin(r); err != nil {
		return nil, err
	}
	for _, h := range said {
		one := heldView{What: "Put on hold", Why: h.Why, By: h.By, At: s.moment(h.At)}
		if !h.On {
			one.What = "Let go"
		}
		v.Said = append(v.Said, one)
	}
	return v, nil
}

// hold puts a call on hold or lets it go, and shows the page again.
func (s *server) hold(w http.ResponseWriter, r *http.Request) {
	c, ok := s.lookUp(w, r)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	h := hq.Hold{Call: c.ID, On: r.PostFormValue("hold") == "on", Why: strings.TrimSpace(r.PostFormValue("why")), By: userOf(r)}
	if h.Why == "" || len(h.Why) > maxHoldWhy || !h.On && r.PostFormValue("hold") != "off" {
		s.fail(w, r, http.StatusBadRequest, "A reason is needed", fmt.Sprintf("Go back to the call's page and say why, in at most %d letters.", maxHoldWhy))
		return
	}
	switch err := s.Commands.Hold(r.Context(), h); {
	case errors.Is(err, hq.ErrExists):
		s.fail(w, r, http.StatusConflict, "It is so already", "Somebody was faster: the call's page says who, and why.")
		return
	case errors.Is(err, hq.ErrNoRoom):
		s.fail(w, r, http.StatusInsufficientStorage, "Headquarters' disk is full", "It can keep no hold until there is room.")
		return
	case err != nil:
		s.broken(w, r, fmt.Errorf("hold call %s: %w", c.ID, err))
		return
	}
	s.Log.Info("a call's hold is changed", "call", c.ID.String(), "on", h.On, "by", h.By, "why", h.Why)
	http.Redirect(w, r, "/calls/"+c.ID.String()+"#hold", http.StatusSeeOther)
}
