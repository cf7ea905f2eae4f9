package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/linekeeper/linekeeper/call"
)

// Where provisioning's files stand on a stick.
const (
	BundleFile   = CourierFolder + "/bundle.jws" // headquarters' Bundle
	BundleAtTop  = "linekeeper-bundle.jws"       // the same, as a browser saves it; it goes before the one in the folder
	ReportFolder = CourierFolder + "/reports"    // {device}.txt and {device}.json: what a recorder says of it
)

// Bounds of a bundle.
const (
	MaxBundle    = 64 << 10 // bytes, as signed
	maxSettings  = 32 << 10 // bytes
	maxSite      = 64
	maxNetworks  = 8
	maxReceivers = 8
)

// Bundle makes a recorder one of headquarters', at a site: all that it has to know, and a token with which it fetches its
// certificate. On the stick it is a compact JWS, signed by headquarters' receipt key.
type Bundle struct {
	Version    int           `json:"v"`
	Type       string        `json:"type"`   // bundle
	Number     uint64        `json:"number"` // a recorder takes none that is not higher than its last
	Time       time.Time     `json:"time"`
	Site       string        `json:"site"`
	Device     call.DeviceID `json:"device,omitempty"` // the only recorder that it is for; empty: any that is new, or of this site
	Enrol      string        `json:"enrol"`            // headquarters' address over HTTPS, https://HOST:PORT
	Token      string        `json:"token"`            // good for one enrolment
	Authority  string        `json:"authority"`        // certificate of headquarters' authority, PEM
	ReceiptKey []byte        `json:"receipt_key"`      // Ed25519, that signs receipts, and this
	SealTo     []string      `json:"seal_to"`          // whom calls are sealed to: age1...; never empty
	Settings   string        `json:"settings"`         // linekeeper.toml
	Networks   []Network     `json:"networks,omitempty"`
}

// Network is a network that the recorder may use beside its cable.
type Network struct {
	Kind     string `json:"kind"`               // wifi, mobile
	Name     string `json:"name"`               // wifi: SSID; mobile: APN
	User     string `json:"user,omitempty"`     // mobile
	Password string `json:"password,omitempty"` // wifi: 8 to 63 characters; empty: an open network
	PIN      string `json:"pin,omitempty"`      // mobile, of the SIM
	Country  string `json:"country,omitempty"`  // wifi: two letters, whose radio rules hold
}

// Kinds of networks.
const (
	NetworkWiFi   = "wifi"
	NetworkMobile = "mobile"
)

const bundleType = "bundle"

// SignBundle gives the bundle as a compact JWS; version, type and the receipt key are filled in.
func SignBundle(key ed25519.PrivateKey, b Bundle) (string, error) {
	b.Version, b.Type, b.ReceiptKey = 1, bundleType, key.Public().(ed25519.PublicKey)
	if err := b.check(); err != nil {
		return "", err
	}
	jws, err := sign(key, "bundle", b)
	if err == nil && len(jws) > MaxBundle {
		err = fmt.Errorf("bundle: %d bytes as signed, at most %d", len(jws), MaxBundle)
	}
	return jws, err
}

// VerifyBundle checks form and signature. A nil key is that of a recorder that knows no headquarters yet: then the bundle
// has to be signed by the key that it names. Otherwise it has to be signed by key.
func VerifyBundle(key ed25519.PublicKey, jws string) (b Bundle, err error) {
	if len(jws) > MaxBundle {
		return Bundle{}, fmt.Errorf("bundle: %d bytes, at most %d", len(jws), MaxBundle)
	}
	if err := read("bundle", jws, &b); err != nil {
		return Bundle{}, err
	}
	if err := b.check(); err != nil {
		return Bundle{}, err
	}
	if key != nil && !bytes.Equal(key, b.ReceiptKey) {
		return Bundle{}, errors.New("bundle: it is of another headquarters than this recorder's")
	}
	return b, verifyBy(b.ReceiptKey, "the receipt key that it names", "bundle", jws, &b)
}

func (b *Bundle) check() error {
	wrong := func(format string, args ...any) error { return fmt.Errorf("bundle: "+format, args...) }
	switch {
	case b.Version != 1:
		return wrong("version %d, this program reads 1", b.Version)
	case b.Type != bundleType:
		return wrong("type %q is not %q", b.Type, bundleType)
	case b.Number == 0:
		return wrong("it has no number")
	case !plain(b.Site, maxSite):
		return wrong("site %.80q is empty, longer than %d bytes, or not plain text", b.Site, maxSite)
	case len(b.ReceiptKey) != ed25519.PublicKeySize:
		return wrong("receipt key of %d bytes, an Ed25519 key has %d", len(b.ReceiptKey), ed25519.PublicKeySize)
	case CheckToken(b.Token) != nil:
		return wrong("%w", CheckToken(b.Token))
	case len(b.Settings) > maxSettings || !utf8.ValidString(b.Settings):
		return wrong("settings of %d bytes, at most %d of UTF-8", len(b.Settings), maxSettings)
	}
	if b.Device != "" {
		if _, err := call.ParseDeviceID(string(b.Device)); err != nil {
			return wrong("%w", err)
		}
	}
	if u, err := url.Parse(b.Enrol); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return wrong("address %.80q is not https://HOST:PORT", b.Enrol)
	}
	if err := checkAuthority(b.Authority); err != nil {
		return wrong("authority: %w", err)
	}
	if len(b.SealTo) == 0 || len(b.SealTo) > maxReceivers {
		return wrong("it names %d whom calls are sealed to, want 1 to %d", len(b.SealTo), maxReceivers)
	}
	for _, to := range b.SealTo {
		if !strings.HasPrefix(to, "age1") || !plain(to, 4096) || strings.Contains(to, " ") {
			return wrong("%.80q is not one whom calls can be sealed to", to)
		}
	}
	return b.checkNetworks()
}

func checkAuthority(text string) error {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return errors.New("it is not one certificate in PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err == nil && !cert.IsCA {
		err = errors.New("the certificate is not an authority's")
	}
	return err
}

func (b *Bundle) checkNetworks() error {
	if len(b.Networks) > maxNetworks {
		return fmt.Errorf("bundle: %d networks, at most %d", len(b.Networks), maxNetworks)
	}
	for _, n := range b.Networks {
		ok := plain(n.Name, 100) && (n.User == "" || plain(n.User, 64)) && (n.Password == "" || plain(n.Password, 64))
		switch n.Kind {
		case NetworkWiFi:
			ok = ok && len(n.Name) <= 32 && n.User == "" && n.PIN == "" && (n.Password == "" || len(n.Password) >= 8 && len(n.Password) <= 63) &&
				(n.Country == "" || len(n.Country) == 2 && isUpper(n.Country))
		case NetworkMobile:
			ok = ok && n.Country == "" && len(n.PIN) <= 8 && strings.Trim(n.PIN, "0123456789") == ""
		default:
			ok = false
		}
		if !ok { // its password stays out of the error
			return fmt.Errorf("bundle: network %.40q of kind %.10q has a name, password, PIN or country that cannot be", n.Name, n.Kind)
		}
	}
	return nil
}

// CheckNetworks says what a recorder refuses of networks beyond the bounds of the bundle's form, since NetworkManager passes over
// what it does not take, and nobody would see why. No secret is in the error.
func CheckNetworks(networks []Network) error {
	known, country := map[[2]string]bool{}, ""
	for _, n := range networks {
		wrong := func(what string) error { return fmt.Errorf("%s network %q: %s", n.Kind, n.Name, what) }
		key := [2]string{n.Kind, n.Name}
		switch {
		case known[key]:
			return wrong("it stands there twice")
		case country != "" && n.Country != "" && n.Country != country:
			return wrong("it is in " + n.Country + ", and another in " + country + ": a recorder is in one country")
		case n.Kind == NetworkWiFi && strings.IndexFunc(n.Password, func(r rune) bool { return r < ' ' || r > '~' }) >= 0:
			return wrong("its password has a character that is not ASCII")
		case n.Kind == NetworkMobile && (len(n.Name) > 64 || strings.IndexFunc(n.Name, func(r rune) bool { return !isNamePart(r) }) >= 0):
			return wrong("an access point name has up to 64 letters, digits, dots, underscores and hyphens")
		case n.PIN != "" && len(n.PIN) < 4:
			return wrong("its PIN has fewer than 4 digits")
		}
		known[key], country = true, max(country, n.Country)
	}
	return nil
}

// isNamePart says whether an access point name may have a character.
func isNamePart(r rune) bool {
	return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-", r))
}

// plain says whether a text is not empty, not long, and of letters, digits and signs of one line.
func plain(s string, most int) bool {
	return s != "" && len(s) <= most && utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

func isUpper(s string) bool { return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" }
