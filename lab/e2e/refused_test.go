//go:build e2e

package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/lab/station"
)

// TestRefused has headquarters refuse calls that are larger than it takes. They are parked with the reason, at the recorder
// and on headquarters' page, and the others go on. Queued again they are refused again; when headquarters takes them,
// one goes at headquarters' wish and the rest at the recorder's.
func TestRefused(t *testing.T) {
	for _, via := range []string{"https", "mqtt"} {
		t.Run(via, func(t *testing.T) {
			t.Parallel()
			refused(t, via)
		})
	}
}

func refused(t *testing.T, via string) {
	dir := folder(t)
	head, office, manifests := waiting(t, dir, 6, via)
	running := start(t, office.Start)
	limit := limitThatBlocks(t, listed(t, office))
	var large []call.ID
	for id, m := range manifests {
		if m.Size > limit {
			large = append(large, id)
		}
	}
	settings := must(os.ReadFile(head.Config))(t)
	if err := os.WriteFile(head.Config, append(fmt.Appendf(nil, "largest_call = %q\n", fmt.Sprint(limit)), settings...), 0o600); err != nil {
		t.Fatal(err)
	}
	server := start(t, head.Start)
	const parked = "headquarters refused a call; it is kept and not sent again"
	await(t, running, len(large), parked, 60*time.Second)
	await(t, running, len(manifests)-len(large), "delivered", 60*time.Second)

	status, list := must(office.Command("status"))(t), must(office.Command("calls"))(t)
	t.Logf("%s\n%s", status, list)
	contains(t, status, fmt.Sprintf("%d parked", len(large)))
	why := fmt.Sprintf("the call file has more than the %d bytes that headquarters takes (largest_call)", limit)
	if via == "https" {
		why = "413 Request Entity Too Large: " + why
	}
	var rows []string
	for _, id := range large {
		contains(t, status, id.String()+"  "+why)
		rows = append(rows, `<a href="/calls/`+id.String()+`"><code>`+id.String()+`</code></a>: `+why)
	}
	page(t, head, "recorders", rows...)
	contains(t, list, "parked: "+why)

	contains(t, must(office.Command("calls", "requeue", large[0].String()))(t), "1 calls are queued again")
	await(t, running, len(large)+1, parked, 60*time.Second)

	if err := os.WriteFile(head.Config, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	start(t, head.Start)
	must(head.Command("tell", "requeue", large[0].String()))(t)
	await(t, running, len(manifests)-len(large)+1, "delivered", 90*time.Second)
	if len(large) > 1 {
		contains(t, must(office.Command("calls", "requeue", "--all"))(t), fmt.Sprintf("%d calls are queued again", len(large)-1))
	}
	await(t, running, len(manifests), "delivered", 60*time.Second)
	for _, c := range calls(t, head) {
		if c.Stage != hq.StageDurable || c.SHA256 != manifests[c.ID].SHA256 {
			t.Errorf("at headquarters: %+v", c)
		}
	}
	if s := recorderStatus(t, office); s.Waiting.Parked != 0 || s.Waiting.Refused != nil {
		t.Errorf("still parked: %+v", s.Waiting)
	}
}

// listed is the recorder's calls in the order in which they are sent.
func listed(t *testing.T, office *station.Recorder) (list []struct {
	Call call.ID `json:"call"`
	Size int64   `json:"size"`
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(must(office.Command("calls", "--json"))(t)), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// limitThatBlocks is a size that lets some call through behind one that is larger.
func limitThatBlocks(t *testing.T, list []struct {
	Call call.ID `json:"call"`
	Size int64   `json:"size"`
}) int64 {
	t.Helper()
	for i, first := range list {
		for _, behind := range list[i+1:] {
			if first.Size > behind.Size {
				return first.Size - 1
			}
		}
	}
	t.Fatalf("each call is larger than the one before: %+v", list)
	return 0
}

// page has one of headquarters' pages, as a user gets it, say all of these, soon.
func page(t *testing.T, head *station.Headquarters, path string, says ...string) {
	t.Helper()
	browser := &http.Client{
		Jar:       must(cookiejar.New(nil))(t),
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
	defer browser.CloseIdleConnections()
	answer := must(browser.PostForm(head.URL()+"login", url.Values{"user": {head.User}, "password": {head.Password}}))(t)
	_ = answer.Body.Close()
	for begin := time.Now(); ; waitFor(t, 200*time.Millisecond) { // a recorder tells how it is within 10 s
		answer := must(browser.Get(head.URL() + path))(t)
		page := string(must(io.ReadAll(answer.Body))(t))
		_ = answer.Body.Close()
		missing := slices.ContainsFunc(says, func(text string) bool { return !strings.Contains(page, text) })
		if missing && time.Since(begin) > 30*time.Second {
			contains(t, page, says...)
			missing = false
		}
		if !missing {
			return
		}
	}
}
