package proof_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/cmd/internal/proof"
	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/seal"
	"github.com/linekeeper/linekeeper/verify"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a folder with one call of three seconds, its manifest, its recorder's certificate and key, and the secret key.
type world struct {
	t         *testing.T
	dir, call string // of the call file
	id        call.ID
	at        []int64 // where each record begins
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name string, b []byte) {
	w.t.Helper()
	must(w.t, os.WriteFile(w.path(name), b, 0o600))
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), id: call.ID{9}}
	w.call = w.path(w.id.String() + ".lkc")
	device := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	ca, err := authority.Open(t.TempDir(), time.Now)
	must(t, err)
	cert, err := ca.IssueDevice(device.Public().(ed25519.PublicKey))
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(device.Public())
	must(t, err)
	key, secret, err := seal.NewKey()
	must(t, err)
	w.write("device.crt", cert)
	w.write("hq-ca.crt", ca.CertificatePEM())
	w.write("device.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	w.write("calls.key", []byte("# made for a test\n"+secret+"\n"))

	header := call.Header{Call: w.id, Device: call.DeviceIDOf(device.Public().(ed25519.PublicKey)), Epoch: 7, Number: 1, Line: "front desk",
		Codec: call.Opus, Channels: 1, Rate: 8000, Anchor: call.Anchor{BootID: "b", Wall: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Grade: call.GradeNTP}}
	file, manifest := w.record(header, seal.Recipients{key.Recipient()})
	must(t, os.WriteFile(w.call, file, 0o600))
	l := ledger.New(ledger.State{Device: header.Device, Epoch: 7}, device)
	_, err = l.Add(call.Entry{Type: call.EntryEnd, Call: &w.id, Line: header.Line, Anchor: header.Anchor, Manifest: &manifest},
		func(_ uint64, jws []byte) error { w.write(w.id.String()+".jws", jws); return nil })
	must(t, err)
	return w
}

// record makes a call of Opus.
func (w *world) record(h call.Header, to seal.Recipients) ([]byte, call.Manifest) {
	out, records, err := seal.NewWriter(h, to)
	must(w.t, err)
	var file []byte
	take := func(r call.Record, err error) error {
		w.at = append(w.at, int64(len(file)))
		file = append(file, r.Data...)
		return err
	}
	for _, r := range records {
		must(w.t, take(r, nil))
	}
	e, err := encoder.New(encoder.Config{Codec: "opus", Rate: 8000, Channels: 1, Serial: 1})
	must(w.t, err)
	position := int64(0)
	keep := func(c encoder.Chunk) error {
		r, err := out.Chunk(position, uint32(c.Frames), c.Data)
		position += c.Frames
		return take(r, err)
	}
	sound := make([]int16, 24000)
	for i := range sound {
		sound[i] = int16(8000 * math.Sin(float64(i)/3))
	}
	must(w.t, e.Write(sound, keep))
	must(w.t, e.Close(keep))
	must(w.t, take(out.End(call.End{Reason: call.EndedSilence, Frames: position})))
	return file, call.Manifest{Began: call.BeganVoice, Ended: call.EndedSilence, Anchor: h.Anchor, Duration: 3, Frames: position, Rate: 8000,
		Codec: h.Codec, Channels: 1, Gaps: []call.Gap{}, Size: out.Size(), SHA256: out.SHA256(), Chain: out.Chain(), Software: "test"}
}

// run runs a command line of a program.
func run(t *testing.T, hq proof.Headquarters, args ...string) (string, error) {
	t.Helper()
	root := &cobra.Command{Use: "program", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(proof.VerifyCommand(hq), proof.OpenCommand())
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	return out.String(), err
}

func TestVerify(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"by the authority":      {[]string{"--authority", w.path("hq-ca.crt"), w.call}, 0, "green: 1 calls and 1 entries verified, 0 findings"},
		"by the certificate":    {[]string{"--recorder-cert", w.path("device.crt"), w.call}, 0, "green"},
		"by the public key":     {[]string{"--recorder-cert", w.path("device.pub"), w.call}, 0, "green"},
		"with the key":          {[]string{"--recorder-cert", w.path("device.pub"), "--key", w.path("calls.key"), w.call}, 0, "green"},
		"nobody confirms":       {[]string{w.call}, 3, "AMBER (signer-unknown) the key of recorder"},
		"folder without ledger": {[]string{"--authority", w.path("hq-ca.crt"), w.dir}, 3, "AMBER (excerpt)"},
	} {
		out, err := run(t, proof.Headquarters{}, append([]string{"verify"}, c.args...)...)
		var verdict *proof.VerdictError
		code := 0
		if errors.As(err, &verdict) {
			code = verdict.ExitCode()
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: %d, %s", name, code, out)
		}
	}
}

func TestVerifySaysWhere(t *testing.T) {
	w := newWorld(t)
	b, err := os.ReadFile(w.call)
	must(t, err)
	b[w.at[3]+30] ^= 1
	must(t, os.WriteFile(w.call, b, 0o600))
	args := []string{"verify", "--recorder-cert", w.path("device.crt"), "--key", w.path("calls.key"), w.call}
	out, err := run(t, proof.Headquarters{}, args...)
	var verdict *proof.VerdictError
	if !errors.As(err, &verdict) || verdict.ExitCode() != 4 || !strings.HasPrefix(out, "RED (altered) ") || !strings.Contains(out, "record 3, byte") {
		t.Errorf("%v\n%s", err, out)
	}
	out, _ = run(t, proof.Headquarters{}, append(args, "--json")...)
	var report verify.Report
	must(t, json.Unmarshal([]byte(out), &report))
	if report.Colour != verify.Red || len(report.Findings) != 1 || *report.Findings[0].Record != 3 || *report.Findings[0].Offset != w.at[3] {
		t.Errorf("%s", out)
	}
}

func TestVerifyRefuses(t *testing.T) {
	w := newWorld(t)
	var usage *command.UsageError
	if _, err := run(t, proof.Headquarters{}, "verify"); !errors.As(err, &usage) {
		t.Errorf("nothing: %v", err)
	}
	for _, args := range [][]string{
		{w.path("nowhere.lkc")}, {w.path("device.crt")}, {t.TempDir()},
		{"--authority", w.path("device.crt"), w.call}, {"--authority", w.path("nowhere"), w.call},
		{"--recorder-cert", w.path("calls.key"), w.call}, {"--recorder-cert", w.path("hq-ca.crt"), w.call},
		{"--authority", w.path("hq-ca.crt"), "--recorder-cert", w.path("device.pub"), w.call},
		{"--key", w.path("device.crt"), w.call},
	} {
		_, err := run(t, proof.Headquarters{}, append([]string{"verify"}, args...)...)
		var verdict *proof.VerdictError
		if err == nil || errors.As(err, &verdict) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestVerifyOfHeadquarters(t *testing.T) {
	w := newWorld(t)
	asked, shut := 0, 0
	hq := proof.Headquarters{
		Library: func(context.Context) (verify.Source, func() error, error) {
			asked++
			return nil, func() error { shut++; return nil }, errors.New("no library")
		},
		Authority: func() ([]byte, error) { return os.ReadFile(w.path("hq-ca.crt")) },
	}
	if out, err := run(t, hq, "verify", w.call); err != nil || !strings.HasPrefix(out, "green") {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := run(t, hq, "verify"); err == nil || err.Error() != "no library" || asked != 1 || shut != 0 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

func TestOpen(t *testing.T) {
	w := newWorld(t)
	out, err := run(t, proof.Headquarters{}, "open", "--key", w.path("calls.key"), w.call)
	want := strings.TrimSuffix(w.call, ".lkc") + ".opus"
	if err != nil || !strings.HasPrefix(out, want+": 3.0 s of call "+w.id.String()+`, line "front desk"`) || strings.Count(out, "\n") != 1 {
		t.Fatalf("%s, %v", out, err)
	}
	if frames := w.play(want); frames != 24000 {
		t.Errorf("%d frames", frames)
	}
	info, err := os.Stat(want)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	before, _ := os.ReadFile(want)
	if _, err := run(t, proof.Headquarters{}, "open", "--key", w.path("calls.key"), w.call); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Errorf("again: %v", err)
	}
	if after, _ := os.ReadFile(want); !bytes.Equal(before, after) {
		t.Error("it was overwritten")
	}
	var usage *command.UsageError
	if _, err := run(t, proof.Headquarters{}, "open", "-o", w.path("x"), w.call); !errors.As(err, &usage) {
		t.Errorf("without a key: %v", err)
	}
	_, secret, err := seal.NewKey()
	must(t, err)
	w.write("other.key", []byte(secret))
	if _, err := run(t, proof.Headquarters{}, "open", "--key", w.path("other.key"), "-o", w.path("x"), w.call); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("another key: %v", err)
	}
	if _, err := os.Stat(w.path("x")); err == nil {
		t.Error("a file was left behind")
	}
}

// TestOpenClear: a call in clear needs no key, and its header cannot say where the audio goes.
func TestOpenClear(t *testing.T) {
	w := newWorld(t)
	file, _ := w.record(call.Header{Call: w.id, Device: "0123ABCD", Codec: "/../../x", Channels: 1, Rate: 8000}, nil)
	w.write("clear.lkc", file)
	out, err := run(t, proof.Headquarters{}, "open", w.path("clear.lkc"))
	if err != nil || !strings.HasPrefix(out, w.path("clear.media")+": 3.0 s") {
		t.Fatalf("%s, %v", out, err)
	}
	if frames := w.play(w.path("clear.media")); frames != 24000 {
		t.Errorf("%d frames", frames)
	}
}

// play decodes and counts frames.
func (w *world) play(path string) (frames int) {
	w.t.Helper()
	b, err := os.ReadFile(path)
	must(w.t, err)
	d, err := encoder.NewDecoder("opus", bytes.NewReader(b))
	must(w.t, err)
	samples := make([]int16, 4096)
	for {
		n, err := d.Read(samples)
		frames += n
		if err != nil {
			return frames
		}
	}
}

func TestOpenDamaged(t *testing.T) {
	w := newWorld(t)
	whole, err := os.ReadFile(w.call)
	must(t, err)
	last := len(w.at) - 1
	for name, c := range map[string]struct {
		file []byte
		says string
	}{
		"a record altered": {func() []byte { b := bytes.Clone(whole); b[w.at[4]+30] ^= 1; return b }(), "passed over: "},
		"a hole": {append(append(bytes.Clone(whole[:w.at[4]]), seal.Hole(4, 1, w.at[5]-w.at[4])...), whole[w.at[5]:]...),
			"1 records from 4"},
		"half of it":      {whole[:w.at[last-1]+20], "stops before the end"},
		"no beginning":    {append(bytes.Clone(whole[:w.at[2]]), whole[w.at[3]:]...), "most will refuse"},
		"a broken length": {func() []byte { b := bytes.Clone(whole); b[w.at[4]+21] ^= 1; return b }(), "passed over: "},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.WriteFile(w.call, c.file, 0o600))
			path := filepath.Join(t.TempDir(), "out.opus")
			out, err := run(t, proof.Headquarters{}, "open", "--key", w.path("calls.key"), "-o", path, w.call)
			if err != nil || !strings.Contains(out, c.says) {
				t.Fatalf("%s, %v", out, err)
			}
			if c.says == "most will refuse" {
				return
			}
			if frames := w.play(path); frames < 15000 { // the decoder puts silence where something is missing
				t.Errorf("%d frames of 24000 can be played", frames)
			}
		})
	}
	must(t, os.WriteFile(w.call, whole[:100], 0o600))
	if out, err := run(t, proof.Headquarters{}, "open", "--key", w.path("calls.key"), "-o", w.path("y"), w.call); err == nil {
		t.Errorf("no header: %s", out)
	}
}
