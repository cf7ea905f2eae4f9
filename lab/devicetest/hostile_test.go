//go:build lab

package devicetest

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/lab/device"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/wire"
)

var stickPulls = flag.Int("stickpulls", 50, "how often TestStickPulls pulls the stick")

// forger makes bundles with headquarters' own key, and without.
type forger struct {
	t    *testing.T
	key  ed25519.PrivateKey
	last wire.Bundle
}

// newForger begins with a bundle of headquarters'.
func (o *office) newForger(jws []byte) *forger {
	o.t.Helper()
	ca := must(authority.Open(filepath.Join(o.head.Dir, "authority"), time.Now))(o.t)
	key := ca.ReceiptKey()
	b := must(wire.VerifyBundle(key.Public().(ed25519.PublicKey), strings.TrimSpace(string(jws))))(o.t)
	return &forger{o.t, key, b}
}

// next is a newer bundle than the last one.
func (f *forger) next(change func(*wire.Bundle)) []byte {
	f.t.Helper()
	f.last.Number++
	b := f.last
	if change != nil {
		change(&b)
	}
	return []byte(must(wire.SignBundle(f.key, b))(f.t))
}

// TestHostileSticks has somebody put in sticks that no honest person makes, and what is no stick, while a call goes on: each
// comes to nothing but a refusal; the recorder stays what it is, and the call goes on without a gap.
func TestHostileSticks(t *testing.T) {
	o := openNew(t)
	s := newStick(t)
	old := o.bundleByPage(url.Values{"site": {siteName}, "days": {"30"}, "settings": {siteSettings}})
	s.put(wire.BundleAtTop, old)
	o.visit(s, signAccepted)
	o.enrolled()
	f := o.newForger(old)
	id := o.recorders()[0].Device
	s.format()
	s.put(wire.BundleAtTop, f.next(nil))
	since := o.moment()
	o.visit(s, signAccepted)
	o.await(since, 1, ready, time.Minute)

	since = o.moment()
	hangUp := o.longCall()
	o.await(since, 1, callBegan, time.Minute)
	before := o.identity()
	main := o.tells("echo " + mainProcess)
	for _, h := range o.hostiles(f, old, id) {
		begin := time.Now()
		s.format()
		h.make(s)
		signs := o.endure(s, h.ignored)
		o.t.Logf("%s: the light said %v, %v: %s", h.name, signs, time.Since(begin).Round(time.Second), strings.ReplaceAll(firstLine(s, h), "\n", " "))
		if h.refused && !slices.Contains(signs, signRefused) || h.ignored && len(signs) > 0 {
			t.Errorf("%s: the light said %v; the sticks: %s", h.name, signs, o.stickJournal())
		}
		if now := o.identity(); now != before {
			t.Errorf("%s: the recorder is another one: %s, was %s", h.name, now, before)
		}
		if now := o.tells("echo " + mainProcess); now != main {
			t.Errorf("%s: the recorder was started again", h.name)
		}
		if h.want != "" && !strings.Contains(s.report(), h.want) {
			t.Errorf("%s: the report is %q, want %q", h.name, s.report(), h.want)
		}
	}
	o.keyboard(main)
	hangUp()
	o.await(since, 1, callEnded, 2*time.Minute)
	o.await(since, 1, delivered, 2*time.Minute)
	if ids := callsOf(o.words()[since:]); len(ids) != 1 {
		t.Errorf("the call was cut into %v", ids)
	}
	c := o.atHeadquarters()[0]
	t.Logf("the call went on for %v, with %d gaps", c.Duration.Round(time.Second), len(c.Gaps))
	if len(c.Gaps) > 0 {
		t.Errorf("the call has gaps: %+v", c.Gaps)
	}
}

// firstLine is the first of a report that is of the bundle.
func firstLine(s usbStick, h hostile) string {
	if h.ignored {
		return "nothing"
	}
	for line := range strings.Lines(s.report()) {
		if strings.HasPrefix(line, "REFUSED") {
			return strings.TrimSpace(line)
		}
	}
	return "no refusal"
}

// identity is all that the recorder is: a sum over its identity folder.
func (o *office) identity() string {
	o.t.Helper()
	return strings.TrimSpace(o.shell(within(o.t, time.Minute), "cd /var/lib/linekeeper/identity && sha256sum $(ls) | sha256sum | cut -c 1-16"))
}

// longCall has somebody speak on the line, for 20 minutes or until the function that it gives is called.
func (o *office) longCall() (hangUp func()) {
	o.t.Helper()
	var speech []int16
	for _, clip := range must(phone.Clips(must(phone.FindVoices())(o.t)[:1], 2*time.Second, 6*time.Second))(o.t)[:8] {
		speech = append(speech, phone.Resample(clip.Samples, clip.Rate, usbKind.Rate)...)
	}
	samples := phone.Noise(usbKind.Rate*2, 20, 1)
	for len(samples) < usbKind.Rate*1200 {
		samples = append(samples, speech...)
	}
	ctx, cancel := context.WithCancel(o.t.Context())
	var over sync.WaitGroup
	over.Go(func() { // until it is hung up
		_ = o.device.PlayUSB(ctx, 1, device.Sound{Rate: usbKind.Rate, Channels: 1, Samples: samples})
	})
	return func() { cancel(); over.Wait() }
}

// endure puts a stick in and pulls it once its unit has ended and the light says nothing more of it, or, where there is to be none,
// after some seconds. While a call goes on the light is on anyway: of its signs only those that somebody can tell from that count.
func (o *office) endure(s usbStick, ignored bool) []string {
	o.t.Helper()
	const ended = `journalctl --boot --unit='linekeeper-stick@*' --output=cat | grep -c '^Finished linekeeper-stick\|^Failed to start linekeeper-stick'; true`
	before := o.tells(ended)
	patience := time.Minute
	if ignored {
		patience = 3 * time.Second // times slowest
	}
	over := false
	signs := o.watchSigns(func() { o.putIn(s) }, func([]string) bool {
		was := over
		if over = o.tells(ended) > before; over {
			o.signless()
		}
		return was // by one look of the light more
	}, patience)
	if ignored == over {
		o.t.Errorf("a unit for the stick: %t", !ignored)
	}
	o.pullOut()
	o.settled()
	o.signless()
	return signs
}

// hostile is a stick that no honest person makes.
type hostile struct {
	name    string
	make    func(usbStick)
	refused bool   // the light has to say so; else it may say either
	ignored bool   // the light has to say nothing
	want    string // in the report
}

// hostiles are those of a recorder that has taken a newer bundle than old.
func (o *office) hostiles(f *forger, old []byte, id string) []hostile {
	bundle := func(b []byte) func(usbStick) { return func(s usbStick) { s.put(wire.BundleAtTop, b) } }
	good := f.next(nil)
	dots := strings.Split(string(good), ".")
	_, foreign, err := ed25519.GenerateKey(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	rubbish := make([]byte, 20_000)
	for i := range rubbish {
		rubbish[i] = byte(random.Uint32())
	}
	many := func(s usbStick, folder string, count int) {
		dir := filepath.Join(o.t.TempDir(), folder)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			o.t.Fatal(err)
		}
		for n := range count {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%08d.jws", n)), []byte("x"), 0o600); err != nil {
				o.t.Fatal(err)
			}
		}
		s.put("linekeeper/"+id+"/x", nil)
		s.mtools("mcopy", "-s", dir, "::linekeeper/"+id)
	}
	return []hostile{
		{name: "rubbish", make: bundle(rubbish), refused: true, want: "REFUSED"},
		{name: "cut short", make: bundle(good[:len(good)/2]), refused: true, want: "REFUSED"},
		{name: "huge", make: bundle(make([]byte, 40<<20)), refused: true, want: "at most"},
		{name: "wrong signature", make: bundle([]byte(dots[0] + "." + dots[1] + "." + dots[2][:40] + strings.Repeat("A", len(dots[2])-40))), refused: true, want: "REFUSED"},
		{name: "another headquarters'", make: bundle([]byte(must(wire.SignBundle(foreign, f.last))(o.t))), refused: true, want: "another headquarters"},
		{name: "another site's", make: bundle(f.next(func(b *wire.Bundle) { b.Site = "Elsewhere" })), refused: true, want: "is for site"},
		{name: "another recorder's", make: bundle(f.next(func(b *wire.Bundle) { b.Device = "47Z33QX1" })), refused: true, want: "is for recorder"},
		{name: "an old one put back", make: bundle(old), refused: true, want: "is not newer"},
		{name: "settings that cannot be", make: bundle(f.next(func(b *wire.Bundle) { b.Settings += "\nnonsense = 1\n" })), refused: true, want: "settings"},
		{name: "a folder in place of the bundle", make: func(s usbStick) { s.mtools("mmd", "::"+wire.BundleAtTop) }, refused: true, want: "not a file"},
		{name: "renamed", make: func(s usbStick) { s.put("linekeeper-bundle (1).jws", good) }},
		{name: "a file in place of the folder", make: func(s usbStick) { s.put("linekeeper", []byte("x")) }, refused: true},
		{name: "many names", make: func(s usbStick) { many(s, "index", 600) }, refused: true},
		{name: "deep", make: func(s usbStick) { s.put("linekeeper/"+id+"/calls/"+strings.Repeat("a/", 60)+"x", []byte("x")) }},
		{name: "a folder that holds itself", make: func(s usbStick) { s.put("linekeeper/"+id+"/x", nil); s.loop("linekeeper", id) }},
		{name: "a file system in pieces", make: func(s usbStick) { s.put(wire.BundleAtTop, good); s.scribble(random) }},
		{name: "links, on ext4", make: o.linked, ignored: true},
	}
}

// loop makes a folder's entry in the folder that holds it lead back to that folder.
func (s usbStick) loop(folder, inside string) {
	s.t.Helper()
	b := must(os.ReadFile(s.file))(s.t)
	name := []byte(inside + "   ")
	i, j := strings.Index(string(b), "LINEKE~1"), strings.Index(string(b), string(name))
	if k := strings.Index(string(b), strings.ToUpper(folder)); i < 0 {
		i = k
	}
	if i < 0 || j < 0 {
		s.t.Fatalf("%s or %s has no entry", folder, inside)
	}
	copy(b[j+20:j+22], b[i+20:i+22]) // first cluster, high half
	copy(b[j+26:j+28], b[i+26:i+28]) // and low half
	if err := os.WriteFile(s.file, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// scribble overwrites what tells where files lie.
func (s usbStick) scribble(random *rand.Rand) {
	s.t.Helper()
	f := must(os.OpenFile(s.file, os.O_RDWR, 0))(s.t)
	noise := make([]byte, 8<<10)
	for i := 0; i < len(noise); i += 4 {
		binary.LittleEndian.PutUint32(noise[i:], random.Uint32())
	}
	_, err := f.WriteAt(noise, 1<<20+32*sector)
	if err = errors.Join(err, f.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// linked makes it an ext4 stick whose every name is a link to what is the recorder's.
func (o *office) linked(s usbStick) {
	o.t.Helper()
	dir := o.t.TempDir()
	for name, to := range map[string]string{wire.BundleAtTop: "/etc/passwd", "linekeeper": "/var/lib/linekeeper"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			o.t.Fatal(err)
		}
	}
	if out, err := exec.Command("/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-d", dir, "-E", "offset=1048576", s.file, "60M").CombinedOutput(); err != nil {
		o.t.Fatalf("%v: %s", err, out)
	}
}

// keyboard is a stick that says it is a keyboard, and types.
func (o *office) keyboard(main int64) {
	o.t.Helper()
	ctx := within(o.t, time.Minute)
	before := o.identity()
	signs := o.watchSigns(func() {
		err := o.device.PlugKeyboard(ctx)
		if err == nil {
			_, err = o.device.Poll(ctx, "grep -q 'QEMU USB Keyboard' /proc/bus/input/devices")
		}
		if err == nil {
			err = o.device.Type(ctx, "r", "o", "o", "t", "ret", "f1", "spc", "esc")
		}
		if err != nil {
			o.t.Error(err)
		}
	}, func([]string) bool { return false }, 3*time.Second)
	if err := o.device.PullKeyboard(ctx); err != nil {
		o.t.Error(err)
	}
	o.t.Logf("a keyboard: the light said %v", signs)
	if len(signs) > 0 || o.identity() != before || o.tells("echo "+mainProcess) != main {
		o.t.Errorf("a keyboard: the light said %v, or the recorder is another one", signs)
	}
}

// TestStickPulls pulls a stick with a newer bundle at random moments while it is read, judged and written, again and again:
// each time the recorder is what the bundle says, whole, or what it was, whole, and goes on. In the end a whole visit works.
func TestStickPulls(t *testing.T) {
	o := openNew(t)
	s := newStick(t)
	first := o.bundleByPage(url.Values{"site": {siteName}, "days": {"30"}, "settings": {siteSettings}})
	s.put(wire.BundleAtTop, first)
	o.visit(s, signAccepted)
	o.enrolled()
	f := o.newForger(first)
	random := rand.New(rand.NewPCG(*seed, 1))
	settings := func(n int) string { return fmt.Sprintf("longest = \"%dm\"\n", 100+n) }
	bundle := func(n int) []byte {
		return f.next(func(b *wire.Bundle) {
			b.Settings = strings.Replace(b.Settings, "[calls]\n", "[calls]\n"+settings(n), 1)
		})
	}
	// How long a whole visit takes says between which moments to pull.
	s.format()
	s.put(wire.BundleAtTop, bundle(0))
	begin := time.Now()
	o.visit(s, signAccepted)
	whole := time.Since(begin)
	t.Logf("%d pulls, seed %d, within %v", *stickPulls, *seed, whole.Round(time.Second))
	has, taken := 0, 0
	for n := 1; n <= *stickPulls; n++ {
		s.format()
		s.put(wire.BundleAtTop, bundle(n))
		o.putIn(s)
		early := random.Float64() // as most happens at the beginning
		moment := time.Duration(early * early * float64(whole))
		o.talk(moment)
		o.pullOut()
		o.settled()
		now := o.whole(settings, has, n)
		if now == n {
			taken++
		}
		t.Logf("pull %d, after %v: it has bundle %d", n, moment.Round(time.Millisecond), now)
		if t.Failed() {
			t.FailNow()
		}
		has = now
	}
	t.Logf("of %d pulls %d left the recorder as the bundle says, and %d as it was", *stickPulls, taken, *stickPulls-taken)
	s.format()
	s.put(wire.BundleAtTop, bundle(*stickPulls+1))
	o.visit(s, signAccepted)
	if report := s.report(); !strings.Contains(report, "ACCEPTED: this is recorder") {
		t.Errorf("the report says %q", report)
	}
	o.whole(settings, *stickPulls+1, *stickPulls+1)
	since := o.speak(25)
	o.await(since, 1, delivered, time.Minute)
}

// whole says which of two bundles' the recorder is: all of it has to be, and it has to record.
func (o *office) whole(settings func(int) string, old, new int) int {
	o.t.Helper()
	ctx := within(o.t, 2*time.Minute)
	said := o.shell(ctx, `cd /var/lib/linekeeper/identity && grep -h longest settings.toml; ls | tr '\n' ' '`)
	is := -1
	for _, n := range []int{old, new} {
		if strings.HasPrefix(said, settings(n)) {
			is = n
		}
	}
	for _, file := range []string{"bundle.jws", "device.crt", "device.key", "hq-ca.crt", "receipt.pub", "recipients.txt", "settings.toml"} {
		if !strings.Contains(said, file) {
			is = -1
		}
	}
	if is < 0 {
		o.t.Errorf("the recorder is neither that of bundle %d nor that of %d: %s", old, new, said)
	}
	// The settings belong to the bundle that lies beside them, and the recorder has taken them up.
	jws := must(o.device.ReadFile(ctx, "/var/lib/linekeeper/identity/bundle.jws"))(o.t)
	if b, err := wire.VerifyBundle(nil, string(jws)); err != nil || is >= 0 && !strings.Contains(b.Settings, settings(is)) {
		o.t.Errorf("its bundle is not that of its settings: %+v, %v", b, err)
	}
	must(o.device.Poll(ctx, `test "$(stat -c %Z /var/lib/linekeeper/identity)" -le "$(date -d "$(systemctl show -P ExecMainStartTimestamp linekeeper)" +%s)" && linekeeper status | grep -q dBFS`))(o.t)
	return is
}
