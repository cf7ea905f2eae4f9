package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// maxWanted is how many commands a call's page shows.
const maxWanted = 5

// wantedView is what somebody has asked of the recorder for a call, and what became of it.
type wantedView struct {
	What, By string
	Given    moment
	State    badge
}

// offered are the commands that a call's page has buttons for.
var offered = []wire.CommandKind{wire.CommandFetch, wire.CommandFlag, wire.CommandRequeue}

func (s *server) wanted(ctx context.Context, id call.ID) ([]wantedView, error) {
	commands, err := s.Commands.CommandsOf(ctx, id, maxWanted)
	if err != nil {
		return nil, fmt.Errorf("look up commands about call %s: %w", id, err)
	}
	views := make([]wantedView, 0, len(commands))
	for _, c := range commands {
		v := wantedView{What: wantedName(c.Kind), By: c.By, Given: s.moment(c.Given), State: badge{"warn", "not taken yet", "The recorder takes it as soon as it is reached."}}
		switch {
		case c.Ended.IsZero():
		case c.Error != "":
			v.State = badge{"bad", "not done", c.Error}
		default:
			v.State = badge{"good", "taken", "The recorder has confirmed it, " + s.moment(c.Ended).Full + "."}
		}
		views = append(views, v)
	}
	return views, nil
}

func wantedName(kind wire.CommandKind) string {
	switch kind {
	case wire.CommandFetch:
		return "Fetch now"
	case wire.CommandFlag:
		return "Flag"
	case wire.CommandUnflag:
		return "Take the flag off"
	case wire.CommandHold:
		return "Hold on the card"
	case wire.CommandUnhold:
		return "End the hold"
	case wire.CommandRequeue:
		return "Queue again"
	}
	return string(kind)
}

// command keeps what somebody wants of the recorder, and shows the page again.
func (s *server) command(w http.ResponseWriter, r *http.Request) {
	c, ok := s.lookUp(w, r)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	kind := wire.CommandKind(r.PostFormValue("kind"))
	if !slices.Contains(offered, kind) {
		s.fail(w, r, http.StatusBadRequest, "Not understood", "Go back to the call's page and press one of its buttons.")
		return
	}
	if c.Stage == hq.StageDurable {
		s.fail(w, r, http.StatusConflict, "It is here already", "The call has arrived in the meantime: its page plays it.")
		return
	}
	n, err := s.Commands.AddCommand(r.Context(), hq.Command{Device: c.Device, Kind: kind, Call: &c.ID, By: userOf(r)})
	if errors.Is(err, hq.ErrNoRoom) {
		s.fail(w, r, http.StatusInsufficientStorage, "Headquarters' disk is full", "It can keep no command until there is room.")
		return
	}
	if err != nil {
		s.broken(w, r, fmt.Errorf("keep command %s for call %s: %w", kind, c.ID, err))
		return
	}
	s.Log.Info("a command is given", "command", n, "kind", kind, "call", c.ID.String(), "device", c.Device)
	http.Redirect(w, r, "/calls/"+c.ID.String(), http.StatusSeeOther)
}
