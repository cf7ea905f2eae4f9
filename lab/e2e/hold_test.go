//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
)

// TestHoldFromThePage puts a call that its recorder may not deliver today on hold, on the call's page in a browser: the
// recorder keeps it with the reason, until it is let go there too.
func TestHoldFromThePage(t *testing.T) {
	for _, via := range []string{"https", "mqtt"} {
		t.Run(via, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			plan := phone.PlanOptions{Calls: 1, Shortest: 6 * time.Second, Longest: 8 * time.Second, Pause: 6 * time.Second}
			_, settings := oneLine(t, dir, plan, call.Opus, via)
			inDays := strings.ToLower(time.Now().AddDate(0, 0, 3).Weekday().String()[:3])
			settings.Extra = fmt.Sprintf("[[uplink.policy.window]]\ndays = [%q]\n", inDays)
			head := headquarters(t, dir, nil)
			start(t, head.Start)
			office := recorder(t, dir, head, settings)
			running := start(t, office.Start)
			id := await(t, running, 1, "call ended", 60*time.Second)[0].Text("call")
			for ctx := within(t, 20*time.Second); len(calls(t, head)) == 0; waitFor(t, 200*time.Millisecond) {
				if ctx.Err() != nil {
					t.Fatal("headquarters does not know of the call")
				}
			}
			holdOnPage(t, head, via, id, "on", "case 12")
			awaitHold(t, office, id, "case 12")
			holdOnPage(t, head, via, id, "off", "closed")
			awaitHold(t, office, id, "")
		})
	}
}

// holdOnPage has a browser put a call on hold or let it go, and keeps pictures in dist/e2e.
func holdOnPage(t *testing.T, head *station.Headquarters, name, id, what, why string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	pictures := filepath.Join(root(t), "dist", "e2e", "hold-"+name)
	out, err := exec.CommandContext(ctx, "node", filepath.Join(root(t), "lab/browser/hold.mjs"), head.URL(), head.User, head.Password, pictures, id, what, why).CombinedOutput()
	if err != nil {
		t.Fatalf("the browser: %v\n%s", err, out)
	}
	t.Logf("the browser: %s", out)
}

// awaitHold waits until a recorder holds a call for a reason; empty: until it does not.
func awaitHold(t *testing.T, office *station.Recorder, id, why string) {
	t.Helper()
	for ctx := within(t, 20*time.Second); ; waitFor(t, 200*time.Millisecond) {
		out := must(office.Command("calls", "--json"))(t)
		if strings.Contains(out, id) && strings.Contains(out, `"hold"`) == (why != "") && strings.Contains(out, why) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("want it on hold for %q, the recorder says:\n%s", why, out)
		}
	}
}
