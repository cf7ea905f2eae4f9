package bundle_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/hq/bundle"
	"github.com/linekeeper/linekeeper/wire"
)

type tokens []hq.Token

func (l *tokens) AddToken(_ context.Context, t hq.Token) (string, error) {
	*l = append(*l, t)
	return wire.NewToken(), nil
}

func TestMake(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { return noon }
	ca, err := authority.Open(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	var kept tokens
	m := bundle.Maker{Authority: ca, Tokens: &kept, HTTPS: "hq.example:8444", MQTT: "hq.example:8883", Now: now}
	jws, err := m.Make(t.Context(), hq.BundleOrder{Site: "Lichinga", Device: "7K3M9QXA", Days: 7, By: "ana", Settings: "[[line]]\r\nname = \"desk\"\r\n"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire.VerifyBundle(ca.ReceiptKey().Public().(ed25519.PublicKey), jws)
	if err != nil || b.Site != "Lichinga" || b.Device != "7K3M9QXA" || b.Enrol != "https://hq.example:8444" || b.Number != uint64(noon.UnixNano()) {
		t.Errorf("%+v, %v", b, err)
	}
	if want := "[[line]]\nname = \"desk\"\n\n[uplink]\nhttps = \"https://hq.example:8444\"\nmqtt = \"mqtts://hq.example:8883\"\n"; b.Settings != want {
		t.Errorf("settings %q", b.Settings)
	}
	if want := (hq.Token{Site: "Lichinga", Only: "7K3M9QXA", By: "ana", Expires: noon.AddDate(0, 0, 7)}); len(kept) != 1 || kept[0] != want {
		t.Errorf("kept %+v", kept)
	}
	// No token is made for what cannot be.
	for name, o := range map[string]hq.BundleOrder{
		"no site":        {Days: 7},
		"no days":        {Site: "Lichinga"},
		"too many days":  {Site: "Lichinga", Days: bundle.MaxDays + 1},
		"no device":      {Site: "Lichinga", Days: 7, Device: "nonsense"},
		"much to set":    {Site: "Lichinga", Days: 7, Settings: strings.Repeat("# a\n", 9000)},
		"short password": {Site: "Lichinga", Days: 7, Networks: []wire.Network{{Kind: wire.NetworkWiFi, Name: "office", Password: "secret"}}},
	} {
		if _, err := m.Make(t.Context(), o); !errors.Is(err, hq.ErrRefused) || strings.Contains(err.Error(), "secret") || len(kept) != 1 {
			t.Errorf("%s: %v, %d tokens", name, err, len(kept))
		}
	}
}
