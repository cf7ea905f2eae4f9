//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/lab/linesim"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
)

// oneLine is a simulated line with the calls of a plan, and the settings of a recorder that records it with a codec and
// delivers over a protocol (none: to nobody).
func oneLine(t *testing.T, dir string, plan phone.PlanOptions, codec call.Codec, order ...string) (phone.Audio, station.RecorderOptions) {
	t.Helper()
	plan.Lines, plan.Rate, plan.Seed = 1, lineRate, 7
	audio := must(phone.Plan(must(phone.FindVoices())(t), plan))(t)[0]
	file := filepath.Join(dir, "line.raw")
	if err := linesim.WriteSamples(file, audio.Samples); err != nil {
		t.Fatal(err)
	}
	card := linesim.Card{Name: "deskphone", File: file, Rate: lineRate, Channels: 1, Control: true}
	sim := must(linesim.Install(t.Context(), filepath.Join(dir, "alsa"), card))(t)
	return audio, station.RecorderOptions{
		Lines: []station.Line{{Name: "line 1", Device: "deskphone"}}, HangOver: "3s",
		Codec: string(codec), Order: order, Env: []string{sim.Env()},
	}
}

// TestRecorderKilledInCall kills the recorder in the middle of a call: at its next start the call is closed, marked, and
// delivered, and no second that was recorded is lost but the last.
func TestRecorderKilledInCall(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	plan := phone.PlanOptions{Calls: 1, Shortest: 12 * time.Second, Longest: 14 * time.Second, Pause: 8 * time.Second}
	audio, settings := oneLine(t, dir, plan, call.Opus, "https")
	head := headquarters(t, dir, nil)
	office := recorder(t, dir, head, settings)
	start(t, head.Start)
	first := start(t, office.Start)
	began := await(t, first, 1, "call began", 30*time.Second)[0]
	id := must(call.ParseID(began.Text("call")))(t)

	const talked = 5 * time.Second
	waitFor(t, talked)
	first.Kill()

	second := start(t, office.Start)
	await(t, second, 1, "delivered", 60*time.Second)
	if err := second.Stop(); err != nil {
		t.Error(err)
	}
	var cut *hq.Call
	for _, c := range calls(t, head) {
		if c.ID == id {
			cut = &c
		}
	}
	if cut == nil || cut.Stage != hq.StageDurable {
		t.Fatalf("the call %s that was cut short is not at headquarters: %+v", id, cut)
	}
	if !cut.Recovered || cut.EndedBy != call.EndedPowerLost {
		t.Errorf("it is not marked: recovered %t, ended by %q", cut.Recovered, cut.EndedBy)
	}
	// It had its pre-roll and what was said until the kill, less one sync interval and the chunk being filled.
	if least := talked - 2500*time.Millisecond; cut.Duration < least {
		t.Errorf("%v of it are left, want at least %v", cut.Duration, least)
	}
	_, sides := decoded(t, head, callFile(t, head, id))
	begin := int(audio.Calls[0].Begin)
	got, err := phone.Compare(audio.Samples, sides[0], lineRate, begin-6*lineRate, begin+lineRate)
	if err != nil || got.Correlation < 0.95 {
		t.Errorf("what is left does not sound as it was played: %+v %v", got, err)
	}
}

// waitFor lets real time go by: the line under test lives in it.
func waitFor(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// TestHeadquartersKilledInUpload kills headquarters in the middle of an upload over a slow link: the upload goes on where
// it was.
func TestHeadquartersKilledInUpload(t *testing.T) {
	for _, via := range []string{"https", "mqtt"} {
		t.Run(via, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			plan := phone.PlanOptions{Calls: 1, Shortest: 10 * time.Second, Longest: 14 * time.Second, Pause: 8 * time.Second}
			_, settings := oneLine(t, dir, plan, call.FLAC, via)
			head := headquarters(t, dir, nil)
			first := start(t, head.Start)
			// The recorder's settings name a slow link in front of headquarters.
			seen := *head
			address := map[string]*string{"https": &seen.Recorders, "mqtt": &seen.MQTT}[via]
			link := slowLink(t, *address, 12<<10)
			*address = link.address
			office := recorder(t, dir, &seen, settings)

			running := start(t, office.Start)
			ended := await(t, running, 1, "call ended", 60*time.Second)[0]
			before := link.carried.Load()
			link.await(t, before+60<<10)
			first.Kill()
			start(t, head.Start)
			await(t, running, 1, "delivered", 90*time.Second)

			found := calls(t, head)
			if len(found) != 1 || found[0].Stage != hq.StageDurable || found[0].SHA256 != ended.Text("sha256") {
				t.Fatalf("at headquarters: %+v", found)
			}
			sent := link.carried.Load() - before
			t.Logf("%d bytes of a call of %d bytes went out", sent, found[0].Size)
			// What was on the way when headquarters died goes again, and so does a TLS handshake.
			if limit := found[0].Size + 48<<10; sent > limit {
				t.Errorf("%d bytes went out for a call of %d: it did not go on where it was", sent, found[0].Size)
			}
		})
	}
}

// relay is a link that carries so many bytes a second upstream.
type relay struct {
	address string
	carried atomic.Int64 // upstream
	mu      sync.Mutex
	moved   chan struct{} // closed and made anew as bytes are carried
}

func slowLink(t *testing.T, to string, bytesPerSecond int) *relay {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	r := &relay{address: l.Addr().String(), moved: make(chan struct{})}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			// What waits in sockets is what a cut wastes: a slow link has short queues.
			_ = from.(*net.TCPConn).SetReadBuffer(4 << 10)
			go r.join(from, to, bytesPerSecond)
		}
	}()
	return r
}

func (r *relay) join(from net.Conn, to string, bytesPerSecond int) {
	defer from.Close()
	up, err := net.Dial("tcp", to)
	if err != nil {
		return // headquarters is down
	}
	defer up.Close()
	go func() {
		_, _ = io.Copy(from, up)
		_ = from.Close()
	}()
	piece := make([]byte, bytesPerSecond/20)
	for tick := time.NewTicker(time.Second / 20); ; <-tick.C {
		n, err := from.Read(piece)
		if n > 0 {
			if _, err := up.Write(piece[:n]); err != nil {
				return
			}
			r.carried.Add(int64(n))
			r.mu.Lock()
			close(r.moved)
			r.moved = make(chan struct{})
			r.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

func (r *relay) await(t *testing.T, carried int64) {
	t.Helper()
	ctx := within(t, time.Minute)
	for {
		r.mu.Lock()
		moved := r.moved
		r.mu.Unlock()
		if r.carried.Load() >= carried {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			t.Fatal(fmt.Errorf("the link carried %d bytes, awaited %d: %w", r.carried.Load(), carried, ctx.Err()))
		}
	}
}
