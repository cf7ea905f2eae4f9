package uplink

import (
	"container/heap"
	"fmt"
	"slices"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// Priority names a sort of calls that goes ahead of the backlog.
type Priority string

// The sorts. Which of them go first, and in which order, is Config.Priority; what is left is the backlog, from its oldest.
const (
	Asked   Priority = "asked"   // headquarters has asked for it
	OnHold  Priority = "hold"    // it must not be given up
	Flagged Priority = "flagged" // somebody has marked it as of interest
	Newest  Priority = "newest"  // the newest, if it has not had its turn
)

// DefaultPriority gives all sorts, in the order in which they go where nothing else is said.
func DefaultPriority() []Priority { return []Priority{Asked, OnHold, Flagged, Newest} }

// CheckPriority finds sorts that do not exist, or stand there twice.
func CheckPriority(order []Priority) error {
	for i, p := range order {
		switch {
		case !slices.Contains(DefaultPriority(), p):
			return fmt.Errorf("%q is none of asked, hold, flagged, newest", p)
		case slices.Contains(order[:i], p):
			return fmt.Errorf("%q stands there twice", p)
		}
	}
	return nil
}

const (
	// planned is how many calls are put in order at a time: as many as one question may ask about, with some room for
	// parked ones. Memory does not depend on how many wait.
	planned     = wire.MaxHave - askedParked
	askedParked = 100

	// maxTroubled bounds what is remembered of calls that were not delivered at the first attempt. Where so many have
	// to wait it is not the calls that are to blame, and no others are tried before one of them has got through.
	maxTroubled = 1000
)

// plan is the next calls to send, in order.
type plan struct {
	calls  []call.Waiting
	more   bool      // others wait behind these
	next   time.Time // when one that has to wait can be tried again; zero: none has to
	parked []call.Waiting
}

// place is where a call stands in the order: the lower goes first.
type place struct {
	class  int
	number uint64
}

func (p place) before(q place) bool {
	return p.class < q.class || p.class == q.class && p.number < q.number
}

// place gives a call its place, among all but the newest.
func (u *Uplink) place(w call.Waiting) place {
	p := place{class: len(u.cfg.Priority), number: w.Number}
	for class, sort := range u.cfg.Priority {
		if sort == Asked && w.Asked || sort == OnHold && w.Hold || sort == Flagged && w.Flagged {
			p.class = class
			break
		}
	}
	if t := u.troubles[w.Call]; t != nil && t.failures > 1 {
		p.class += len(u.cfg.Priority) + 1 // those that have failed again and again come at the end
	}
	return p
}

// makePlan goes through all calls that wait, keeps those that come next, and forgets what was remembered of calls that
// wait no more. Calls with a number above the horizon are new. Calls that skip names are left out.
func (u *Uplink) makePlan(horizon uint64, skip func(call.ID) bool) plan {
	var p plan
	var newest call.Waiting
	u.scan++
	first := firsts{most: planned, u: u}
	oldest := firsts{most: askedParked, u: u}
	u.store.EachWaiting(func(w call.Waiting) bool {
		t := u.troubles[w.Call]
		if t != nil {
			t.scan = u.scan
		}
		if !u.begun {
			u.known = max(u.known, w.Number)
		}
		switch {
		case !w.Ended || skip(w.Call):
		case w.Parked:
			if w.Number <= u.known && w.Number > u.askedParked {
				oldest.offer(w)
			}
		case t != nil && !t.due():
			if p.next.IsZero() || t.until.Before(p.next) {
				p.next = t.until
			}
		case t == nil && len(u.troubles) >= maxTroubled:
		default:
			first.offer(w)
			if w.Number > max(horizon, newest.Number) && (t == nil || t.failures <= 1) {
				newest = w
			}
		}
		return true
	})
	u.begun = true
	for id, t := range u.troubles {
		if t.scan != u.scan {
			delete(u.troubles, id)
		}
	}
	p.calls, p.more, p.parked = u.putNewest(first.sorted(), newest), first.left, oldest.sorted()
	still := make(map[call.ID]bool, len(p.calls))
	for _, w := range p.calls {
		still[w.Call] = u.asked[w.Call]
	}
	u.asked = still
	return p
}

// putNewest puts the newest call, should it have come in, where its sort has its place: before those of later sorts.
func (u *Uplink) putNewest(calls []call.Waiting, newest call.Waiting) []call.Waiting {
	class := slices.Index(u.cfg.Priority, Newest)
	if class < 0 || newest.Call.IsZero() || u.place(newest).class < class {
		return calls
	}
	calls = slices.DeleteFunc(calls, func(w call.Waiting) bool { return w.Call == newest.Call })
	at := slices.IndexFunc(calls, func(w call.Waiting) bool { return u.place(w).class > class })
	if at < 0 {
		at = len(calls)
	}
	return slices.Insert(calls, at, newest)
}

// firsts keeps the first calls of many, as a heap with the last of them at its top.
type firsts struct {
	u     *Uplink
	most  int
	calls []call.Waiting
	left  bool // some did not find room
}

func (f *firsts) offer(w call.Waiting) {
	if len(f.calls) < f.most {
		heap.Push(f, w)
		return
	}
	f.left = true
	if f.u.place(w).before(f.u.place(f.calls[0])) {
		f.calls[0] = w
		heap.Fix(f, 0)
	}
}

// sorted ends the heap.
func (f *firsts) sorted() []call.Waiting {
	slices.SortFunc(f.calls, func(a, b call.Waiting) int {
		if f.u.place(a).before(f.u.place(b)) {
			return -1
		}
		return 1
	})
	return f.calls
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (f *firsts) Len() int           { return len(f.calls) }
func (f *firsts) Less(i, j int) bool { return f.u.place(f.calls[j]).before(f.u.place(f.calls[i])) }
func (f *firsts) Swap(i, j int)      { f.calls[i], f.calls[j] = f.calls[j], f.calls[i] }
func (f *firsts) Push(w any)         { f.calls = append(f.calls, w.(call.Waiting)) }
func (f *firsts) Pop() any {
	last := f.calls[len(f.calls)-1]
	f.calls = f.calls[:len(f.calls)-1]
	return last
}
