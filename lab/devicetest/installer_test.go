//go:build lab

package devicetest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
	"github.com/linekeeper/linekeeper/wire"
)

const siteName = "Lab office"

// What a bundle sets in these tests beside headquarters' addresses: each USB card is a line by itself.
const siteSettings = "[ring]\nsize = \"64MiB\"\n\n[calls]\nhang_over = \"3s\"\n"

// TestInstaller is the whole way of an installer, with nothing but a browser at headquarters, a stick, and eyes on the light: a
// recorder as it comes becomes one of headquarters', records a call that headquarters lists, and, when the link is away, gives
// its calls to the stick, on which the receipts come back. The test looks into the recorder; it does nothing there.
func TestInstaller(t *testing.T) {
	o := openNew(t)
	s := newStick(t)
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"as it comes", func() { o.asItComes(s) }},
		{"bundle from the page, on the stick, into the recorder", func() { o.setUp(s) }},
		{"enrolled", o.enrolled},
		{"a call", o.firstCall},
		{"the courier", func() { o.courier(s) }},
		{"another bundle, on an exFAT stick without partitions", o.anotherOnExFAT},
	} {
		begin := time.Now()
		step.do()
		t.Logf("%s: %v", step.name, time.Since(begin).Round(time.Second))
		if t.Failed() {
			t.FailNow()
		}
	}
}

// openNew starts headquarters and boots a recorder as it comes: the package is installed, a card is in its first port, the
// machine's own settings name the light, and nobody has set it up.
func openNew(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, grown: make(chan struct{})}
	o.head = must(station.NewHeadquarters(program(t, "linekeeper-hq"), filepath.Join(t.TempDir(), "hq"), "", "", "", nil))(t)
	// The first of headquarters' names is that by which recorders reach it.
	text := string(must(os.ReadFile(o.head.Config))(t))
	named := strings.Replace(text, `names = [`, fmt.Sprintf("names = [%q, ", device.HostAddress), 1)
	if err := os.WriteFile(o.head.Config, []byte(named), 0o600); err != nil || named == text {
		t.Fatalf("headquarters' settings have changed their form: %s, %v", text, err)
	}
	server := must(o.head.Start(within(t, 30*time.Second), nil))(t)
	t.Cleanup(server.Kill)
	image := must(device.Prepare(within(t, 10*time.Minute), cache, device.Options{Log: slog.Default()}))(t)
	o.device = must(device.Start(within(t, patience), image, device.Config{
		Data: &device.Disk{Mount: "/var/lib/linekeeper"}, Boot: patience, OnAck: o.heard,
	}))(t)
	t.Cleanup(func() {
		if t.Failed() {
			console, _ := os.ReadFile(o.device.Console())
			said := o.words()
			t.Logf("the console:\n%s\nthe sticks:\n%s\nthe end of what the recorder said:\n%s", console, o.stickJournal(), strings.Join(said[max(0, len(said)-100):], "\n"))
		}
		_ = o.device.Close()
	})
	ctx := within(t, patience)
	o.copy(latestPackage(t), "/root/linekeeper.deb", 0o644)
	o.shell(ctx, fmt.Sprintf(`dpkg --install /root/linekeeper.deb && sed -i 's/^# pin = ""/pin = "GPIO%d"/' /etc/linekeeper/linekeeper.toml && sync`, pin))
	o.device.PowerCut() // which is how a recorder comes: it starts with its power
	if err := o.device.PowerOn(ctx); err != nil {
		t.Fatal(err)
	}
	o.follow(ctx)
	o.await(0, 1, "waiting for a stick with a bundle", patience)
	o.plugUSB(1)
	return o
}

// asItComes is a new recorder, which says by its light that it is not set up, and of an empty stick that it waits for more.
func (o *office) asItComes(s usbStick) {
	o.t.Helper()
	o.awaitLight(lightAlarm, time.Minute)
	o.visit(s, signRefused)
	if got := s.report(); !strings.Contains(got, "REFUSED: neither linekeeper-bundle.jws nor linekeeper/bundle.jws lies on the stick") {
		o.t.Errorf("the report says %q", got)
	}
	s.format()
}

// setUp has an administrator make a bundle in the browser, and an installer carry it.
func (o *office) setUp(s usbStick) {
	o.t.Helper()
	since := o.moment()
	s.put(wire.BundleAtTop, o.bundleByPage(url.Values{"site": {siteName}, "days": {"30"}, "settings": {siteSettings}}))
	o.visit(s, signAccepted)
	o.await(since, 1, ready, time.Minute)
	report := s.report()
	o.t.Logf("the report on the stick:\n%s", report)
	for _, want := range []string{"ACCEPTED: this is recorder ", "of " + siteName, "level, line 1", "PASS  headquarters, https", "PASS  seal"} {
		if !strings.Contains(report, want) {
			o.t.Errorf("the report lacks %q", want)
		}
	}
}

// bundleByPage logs in as a browser does, sends the form, and gives what is saved.
func (o *office) bundleByPage(form url.Values) []byte {
	o.t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(filepath.Join(o.head.Dir, "authority", "ca.crt")))(o.t))
	browser := &http.Client{Jar: must(cookiejar.New(nil))(o.t), Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer browser.CloseIdleConnections()
	send := func(path string, form url.Values) (*http.Response, []byte) {
		o.t.Helper()
		r := must(browser.PostForm(strings.TrimSuffix(o.head.URL(), "/")+path, form))(o.t)
		defer r.Body.Close()
		return r, must(io.ReadAll(r.Body))(o.t)
	}
	if r, page := send("/login", url.Values{"user": {o.head.User}, "password": {o.head.Password}, "next": {"/bundles"}}); r.StatusCode != http.StatusOK || !bytes.Contains(page, []byte(wire.BundleAtTop)) {
		o.t.Fatalf("the page of bundles: %s: %s", r.Status, page)
	}
	r, file := send("/bundles", form)
	if r.StatusCode != http.StatusOK || !strings.Contains(r.Header.Get("Content-Disposition"), wire.BundleAtTop) {
		o.t.Fatalf("the bundle: %s: %s", r.Status, file)
	}
	return file
}

// listed is a recorder as headquarters lists it.
type listed struct {
	Device string       `json:"device"`
	Site   string       `json:"site"`
	Status *wire.Status `json:"status"`
}

func (o *office) recorders() (all []listed) {
	o.t.Helper()
	if err := json.Unmarshal([]byte(must(o.head.Command("recorder", "list", "--json"))(o.t)), &all); err != nil {
		o.t.Fatal(err)
	}
	return all
}

// enrolled has headquarters' authority have signed a certificate for the key that the recorder made, and the page list it.
func (o *office) enrolled() {
	o.t.Helper()
	o.await(0, 1, "msg=enrolled", time.Minute)
	ctx := within(o.t, time.Minute)
	for {
		if all := o.recorders(); len(all) == 1 && all[0].Site == siteName && all[0].Status != nil && all[0].Status.Online {
			o.t.Logf("headquarters lists recorder %s of %s: %s", all[0].Device, all[0].Site, all[0].Status.State)
			break
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			o.t.Fatalf("headquarters lists %+v", o.recorders())
		}
	}
	o.says("linekeeper 600", "stat -c '%U %a' /var/lib/linekeeper/identity/device.crt")
	o.says("gone", "test -e /var/lib/linekeeper/identity/token || echo gone")
	o.says("active", "systemctl is-active linekeeper")
}

// speak has somebody make a call on the line, and waits until the recorder has it whole.
func (o *office) speak(seed uint64) (since int) {
	o.t.Helper()
	since = o.moment()
	audio := must(phone.Plan(must(phone.FindVoices())(o.t), phone.PlanOptions{
		Lines: 1, Calls: 1, Rate: usbKind.Rate, Pause: 2 * time.Second, After: 6 * time.Second, Shortest: 6 * time.Second, Longest: 8 * time.Second, Seed: seed,
	}))(o.t)
	o.playUSB(audio...)()
	o.await(since, 1, callEnded, time.Minute)
	return since
}

// atHeadquarters are the calls of its library.
func (o *office) atHeadquarters() []hq.Call {
	o.t.Helper()
	lib := must(library.Open(filepath.Join(o.head.Dir, "library.db"), time.Now))(o.t)
	defer lib.Close()
	all, _, err := lib.Calls(o.t.Context(), hq.Query{Limit: 500})
	if err != nil {
		o.t.Fatal(err)
	}
	return all
}

func (o *office) firstCall() {
	o.t.Helper()
	since := o.speak(21)
	o.await(since, 1, delivered, time.Minute)
	all := o.atHeadquarters()
	if len(all) != 1 || all[0].Stage != hq.StageDurable || all[0].Site != siteName || all[0].Line != "line 1" || all[0].Duration < 5*time.Second {
		o.t.Fatalf("headquarters lists %+v", all)
	}
	o.t.Logf("headquarters lists a call of %v from %s, %s", all[0].Duration.Round(time.Second), all[0].Site, all[0].Line)
}

// courier takes the link away, and a stick to headquarters and back.
func (o *office) courier(s usbStick) {
	o.t.Helper()
	o.link(false)
	since := o.speak(22)
	o.speak(23)
	s.format()
	o.visit(s, signAccepted)
	dir := s.get("linekeeper")
	files := func() []string {
		return must(filepath.Glob(filepath.Join(dir, "linekeeper", "*", "calls", "*.lkc")))(o.t)
	}
	ids := callsOf(o.words()[since:])
	if got := files(); len(got) != len(ids) || len(ids) < 2 {
		o.t.Fatalf("on the stick: %v, recorded: %v", got, ids)
	}
	said := must(o.head.Command("import", dir))(o.t)
	o.t.Logf("linekeeper-hq import:\n%s", said)
	s.putBack(dir)
	o.visit(s, signAccepted)
	o.await(since, len(ids), "via=courier", time.Minute)
	dir = s.get("linekeeper")
	if got := files(); len(got) != 0 {
		o.t.Errorf("the stick still has %v", got)
	}
	o.says("0", `linekeeper status --json | tr -d ' \n' | sed -n 's/.*"waiting":{"calls":\([0-9]*\).*/\1/p'`)
	o.link(true)
	all := o.atHeadquarters()
	if len(all) != 1+len(ids) {
		o.t.Errorf("headquarters has %d calls, want %d", len(all), 1+len(ids))
	}
	for _, c := range all[:len(ids)] {
		if c.Stage != hq.StageDurable || c.Via != "courier" || !slices.Contains(ids, c.ID.String()) {
			o.t.Errorf("headquarters has %+v", c)
		}
	}
	o.t.Logf("%d calls went by stick, and the receipts came back on it", len(ids))
}

// anotherOnExFAT changes a setting with a bundle for this very recorder. An exFAT stick is filled where its file system is
// known: in the device, before it counts as put in.
func (o *office) anotherOnExFAT() {
	o.t.Helper()
	bundle := o.bundleByPage(url.Values{
		"site": {siteName}, "device": {o.recorders()[0].Device}, "days": {"30"}, "settings": {siteSettings + "\n[encoder]\ncodec = \"flac\"\n"},
	})
	s := usbStick{o.t, filepath.Join(o.t.TempDir(), "exfat.img")}
	if err := os.WriteFile(s.file, nil, 0o600); err != nil {
		o.t.Fatal(err)
	}
	if err := os.Truncate(s.file, stickSectors*sector); err != nil {
		o.t.Fatal(err)
	}
	ctx := within(o.t, 2*time.Minute)
	o.putIn(s)
	if err := o.device.WriteFile(ctx, "/run/lab-bundle", bundle, 0o600); err != nil {
		o.t.Fatal(err)
	}
	const byID = "/dev/disk/by-id/usb-*" + stickDevice + "*"
	must(o.device.Poll(ctx, "test -b "+byID))(o.t)
	o.shell(ctx, "mkfs.exfat "+byID+" && mkdir -p /run/lab-exfat && mount "+byID+" /run/lab-exfat && cp /run/lab-bundle /run/lab-exfat/"+wire.BundleAtTop+" && umount /run/lab-exfat")
	o.pullOut()
	since := o.moment()
	o.visit(s, signAccepted)
	o.await(since, 1, ready, time.Minute)
	o.says(`codec = "flac"`, "grep codec /var/lib/linekeeper/identity/settings.toml")
	o.says("0", "ls /var/lib/linekeeper/identity.new 2>/dev/null | wc -l")
	since = o.speak(24)
	o.await(since, 1, delivered, time.Minute)
	if c := o.atHeadquarters()[0]; c.Codec != call.FLAC {
		o.t.Errorf("the last call is %s", c.Codec)
	}
}
