//go:build e2e

package e2e

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/lab/station"
)

// TestDemo runs what `make run` runs: the first call stands at headquarters within a minute of the address, Ctrl-C stops
// it cleanly, and the next start goes on where it left off.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	head := &station.Headquarters{Dir: filepath.Join(dir, "headquarters")}
	address := regexp.MustCompile(`https://\S+/`)
	var password string
	for round := 1; round <= 2; round++ {
		demo := must(station.Start("demo", filepath.Join(dir, "log"), nil, nil, "sh", "-c",
			`exec "$1" -bin "$2" -state "$3" >&2`, "sh", program(t, "demo"), filepath.Dir(program(t, "linekeeper")), dir))(t)
		t.Cleanup(func() {
			if demo.Err() == nil {
				demo.Kill()
			}
		})
		said := func(text string) func(station.Event) bool {
			return func(e station.Event) bool { return strings.Contains(e.Message, text) }
		}
		must(demo.Await(within(t, 30*time.Second), 1, said("password")))(t)
		url := address.FindString(demo.AllWords())
		insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		page := must(insecure.Get(url + "login"))(t)
		_ = page.Body.Close()
		if page.StatusCode != http.StatusOK {
			t.Errorf("%s answers %s", url, page.Status)
		}
		for _, happened := range []string{"call began", "call ended", "delivered"} {
			must(demo.Await(within(t, 60*time.Second), 1, said(happened)))(t)
		}
		found := calls(t, head)
		if len(found) < round || found[len(found)-1].Stage != hq.StageDurable {
			t.Errorf("round %d: at headquarters: %+v", round, found)
		}
		words := regexp.MustCompile(`user \S+, password \S+`).FindString(demo.AllWords())
		if password != "" && words != password {
			t.Errorf("the second start says %q, the first said %q", words, password)
		}
		password = words
		if err := syscall.Kill(demo.PID(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		select {
		case <-demo.Done():
		case <-within(t, 30*time.Second).Done():
			t.Fatal("it does not stop")
		}
		if demo.Err().Error() != "exit code 0" {
			t.Errorf("it ended with %v: %s", demo.Err(), demo.LastWords())
		}
	}
}
