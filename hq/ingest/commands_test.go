package ingest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// posting runs the service that sends commands.
func (w *world) posting() {
	serve(w.t, func(ctx context.Context) error { w.in.Run(ctx); return nil })
}

func (d *device) wanted(kind wire.CommandKind) uint64 {
	d.w.t.Helper()
	id := call.NewID()
	n, err := d.w.library.AddCommand(d.w.t.Context(), hq.Command{Device: d.id, Kind: kind, Call: &id, By: "amina"})
	must(d.w.t, err)
	return n
}

// commands checks a list and gives the numbers.
func (d *device) commands(list wire.CommandList) (numbers []uint64) {
	d.w.t.Helper()
	for _, jws := range list.Commands {
		c, err := wire.VerifyCommand(d.w.authority.ReceiptKey().Public().(ed25519.PublicKey), jws)
		must(d.w.t, err)
		if c.Device != d.id || c.Check() != nil {
			d.w.t.Errorf("%+v: %v", c, c.Check())
		}
		numbers = append(numbers, c.Number)
	}
	return numbers
}

func (d *device) open() int {
	d.w.t.Helper()
	open, err := d.w.library.OpenCommands(d.w.t.Context(), d.id, 100)
	must(d.w.t, err)
	return len(open)
}

func TestCommandsOverHTTPS(t *testing.T) {
	w := newWorld(t)
	d, other := w.device(), w.device()
	first := d.wanted(wire.CommandFetch)
	second := d.wanted(wire.CommandFlag)
	var list wire.CommandList
	if r := d.json(http.MethodGet, wire.PathCommands+"?wait=60", nil, &list); r.code != http.StatusOK {
		t.Fatal(r)
	}
	if n := d.commands(list); len(n) != 2 || n[0] != first || n[1] != second || second <= first {
		t.Errorf("numbers %v, want %d and %d", n, first, second)
	}
	if r := other.json(http.MethodPost, wire.CommandResultPath(first), wire.CommandResult{Number: first}, nil); r.code != http.StatusNotFound {
		t.Errorf("another recorder's result: %v", r)
	}
	if r := d.json(http.MethodPost, wire.CommandResultPath(first), wire.CommandResult{Number: second}, nil); r.code != http.StatusBadRequest {
		t.Errorf("a result of another command: %v", r)
	}
	for range 2 { // what is sent again changes nothing
		if r := d.json(http.MethodPost, wire.CommandResultPath(first), wire.CommandResult{Number: first, Error: strings.Repeat("x", 1000)}, nil); r.code != http.StatusNoContent {
			t.Errorf("result: %v", r)
		}
	}
	if d.open() != 1 {
		t.Errorf("%d are open", d.open())
	}
	all, err := w.library.CommandsTo(t.Context(), d.id, 10)
	must(t, err)
	if len(all) != 2 || all[1].Ended.IsZero() || len(all[1].Error) != maxErrorBytes || all[1].By != "amina" || !all[0].Ended.IsZero() {
		t.Errorf("%+v", all)
	}
}

// TestCommandsAreAwaited has a question that waits answered when a command is given, by whatever program.
func TestCommandsAreAwaited(t *testing.T) {
	w := newWorld(t)
	w.posting()
	d := w.device()
	asked := make(chan wire.CommandList)
	go func() {
		var list wire.CommandList
		d.json(http.MethodGet, wire.PathCommands+"?wait=300", nil, &list)
		asked <- list
	}()
	for waits := false; !waits; {
		w.in.post.mu.Lock()
		waits = len(w.in.post.waiting[d.id]) == 1
		w.in.post.mu.Unlock()
	}
	n := d.wanted(wire.CommandFetch)
	select {
	case list := <-asked:
		if got := d.commands(list); len(got) != 1 || got[0] != n {
			t.Errorf("numbers %v, want %d", got, n)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the question is not answered")
	}
	var none wire.CommandList
	other := w.device()
	if r := other.json(http.MethodGet, wire.PathCommands, nil, &none); r.code != http.StatusOK || none.Commands == nil || len(none.Commands) != 0 {
		t.Errorf("another recorder gets %v", r)
	}
	if r := d.do(http.MethodGet, wire.PathCommands+"?wait=-1", nil); r.code != http.StatusBadRequest {
		t.Errorf("%v", r)
	}
}

// TestStopAnswersQuestions has headquarters not wait for those that wait for it.
func TestStopAnswersQuestions(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.in.Run(ctx); close(ended) }()
	cancel()
	<-ended
	var list wire.CommandList
	if r := w.device().json(http.MethodGet, wire.PathCommands+"?wait=300", nil, &list); r.code != http.StatusOK {
		t.Error(r)
	}
}

func TestCommandsOverMQTT(t *testing.T) {
	for name, broker := range map[string]func(*world) string{"embedded": (*world).broker, "elsewhere": (*world).elsewhere} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.posting()
			d := w.device()
			before := d.wanted(wire.CommandFetch)
			c, err := d.connect(d.options(broker(w)))
			must(t, err)
			c.subscribe(wire.TopicCommand(d.id, 0))
			c.send(wire.TopicStatus(d.id), wire.Status{Device: d.id, Online: true})
			var list wire.CommandList
			c.answer(wire.TopicCommand(d.id, before), &list)
			if n := d.commands(list); len(n) != 1 || n[0] != before {
				t.Errorf("numbers %v, want %d", n, before)
			}
			c.send(wire.TopicResult(d.id, before), wire.CommandResult{Number: before})
			now := time.After(10 * time.Second)
			for d.open() > 0 {
				select {
				case <-time.After(time.Millisecond):
				case <-now:
					t.Fatal("the result is not taken")
				}
			}
			next := d.wanted(wire.CommandFlag)
			c.answer(wire.TopicCommand(d.id, next), &list)
			if n := d.commands(list); len(n) != 1 || n[0] != next {
				t.Errorf("numbers %v, want %d", n, next)
			}
		})
	}
}

func TestCommandOfAStranger(t *testing.T) {
	w := newWorld(t)
	if _, err := w.library.AddCommand(t.Context(), hq.Command{Device: w.stranger().id, Kind: wire.CommandRequeue}); !errors.Is(err, hq.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
