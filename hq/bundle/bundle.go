// Package bundle makes the bundles that recorders are set up with from a USB stick (docs/format-bundle.md), for the web pages
// and for `linekeeper-hq bundle` alike.
//
//	m := bundle.Maker{Authority: ca, Tokens: lib, HTTPS: "hq.example:8444", MQTT: "hq.example:8883", Now: time.Now}
//	jws, err := m.Make(ctx, hq.BundleOrder{Site: "Lichinga", Days: 30, By: "ana"})
package bundle

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// MaxDays is for how long a bundle's token may be good.
const MaxDays = 366

// Authority is headquarters' own.
type Authority interface {
	CertificatePEM() []byte
	Recipient() (string, error) // whom calls are sealed to
	ReceiptKey() ed25519.PrivateKey
}

// Tokens keeps what lets a recorder in once.
type Tokens interface {
	AddToken(ctx context.Context, t hq.Token) (token string, err error)
}

// Maker makes bundles.
type Maker struct {
	Authority   Authority
	Tokens      Tokens
	HTTPS, MQTT string // HOST:PORT by which recorders reach headquarters; no MQTT: empty
	Now         func() time.Time
}

// Make makes a bundle, as signed, and keeps its token. hq.ErrRefused: the order cannot be; the error says why, and nothing of
// it is secret.
func (m Maker) Make(ctx context.Context, o hq.BundleOrder) (jws string, err error) {
	if o.Days < 1 || o.Days > MaxDays {
		return "", fmt.Errorf("%w: %d days are not from 1 to %d", hq.ErrRefused, o.Days, MaxDays)
	}
	if err := wire.CheckNetworks(o.Networks); err != nil {
		return "", fmt.Errorf("%w: %w", hq.ErrRefused, err)
	}
	recipient, err := m.Authority.Recipient()
	if err != nil {
		return "", err
	}
	now := m.Now().UTC()
	b := wire.Bundle{
		Number: uint64(now.UnixNano()), Time: now, Site: o.Site, Device: o.Device, Token: wire.NewToken(), Enrol: "https://" + m.HTTPS,
		Authority: string(m.Authority.CertificatePEM()), SealTo: []string{recipient}, Settings: m.settings(o.Settings), Networks: o.Networks,
	}
	if _, err := wire.SignBundle(m.Authority.ReceiptKey(), b); err != nil { // before a token is made for it
		return "", fmt.Errorf("%w: %w", hq.ErrRefused, err)
	}
	b.Token, err = m.Tokens.AddToken(ctx, hq.Token{Site: o.Site, Only: o.Device, By: o.By, Expires: now.AddDate(0, 0, o.Days)})
	if err != nil {
		return "", err
	}
	return wire.SignBundle(m.Authority.ReceiptKey(), b)
}

// settings are a recorder's, with headquarters' addresses where they name none.
func (m Maker) settings(text string) string {
	if text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")); text != "" {
		text += "\n\n"
	}
	if strings.Contains(text, "[uplink]") {
		return text
	}
	text += fmt.Sprintf("[uplink]\nhttps = \"https://%s\"\n", m.HTTPS)
	if m.MQTT != "" {
		text += fmt.Sprintf("mqtt = \"mqtts://%s\"\n", m.MQTT)
	}
	return text
}
