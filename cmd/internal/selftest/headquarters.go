package selftest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/wire"
)

// Way is one of the ways to headquarters.
type Way struct {
	Name    string // https, mqtt
	Address string // as in the settings
	TLS     *tls.Config
	Ask     func(context.Context) (wire.HaveAnswer, error) // nil: must not be asked now, and SkipAsk says why
	SkipAsk string
}

const (
	linkPatience = 15 * time.Second
	mostApart    = 5 * time.Second // between this clock and headquarters'

	refusalWithin = 2 * time.Second
)

// Link sees whether anybody listens at a way's address.
func Link(ctx context.Context, w Way) Result {
	host, err := dialled(w)
	if err != nil {
		return fail(CheckLink, w.Name, "correct the address in the settings", "%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, linkPatience)
	defer cancel()
	begun := time.Now()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return fail(CheckLink, w.Name, linkAdvice(err), "%s is not reached: %s", host, plain(err))
	}
	_ = conn.Close()
	return pass(CheckLink, w.Name, "%s is reached, in %v", host, time.Since(begun).Round(time.Millisecond))
}

// dialled is where a way's connection goes: to headquarters, or to the proxy that the environment names.
func dialled(w Way) (string, error) {
	u, err := url.Parse(w.Address)
	if err != nil {
		return "", fmt.Errorf("read headquarters' address: %w", err)
	}
	port := map[string]string{"https": "443", "mqtts": "8883", "http": "80"}
	if u.Scheme == "https" {
		proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
		if err != nil {
			return "", fmt.Errorf("read the proxy's address: %w", err)
		}
		if proxy != nil {
			u = proxy
		}
	}
	if u.Port() != "" {
		return u.Host, nil
	}
	return net.JoinHostPort(u.Hostname(), port[u.Scheme]), nil
}

func linkAdvice(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "see whether the name in the settings is right, and whether this network has a name server (`resolvectl status`)"
	case errors.Is(err, unix.ECONNREFUSED):
		return "see whether headquarters runs, and whether the port in the settings is right"
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return "this machine has no way out: see the cable, the modem, and `ip route`"
	}
	return "see whether the network works (`ping`), and whether a firewall stands between"
}

// Headquarters sees whether headquarters is ours, knows us, and has the same time.
func Headquarters(ctx context.Context, w Way) Result {
	ctx, cancel := context.WithTimeout(ctx, 2*linkPatience)
	defer cancel()
	if w.Ask == nil {
		return handshake(ctx, w)
	}
	begun := time.Now()
	answer, err := w.Ask(ctx)
	if err != nil {
		return fail(CheckHeadquarters, w.Name, headquartersAdvice(err), "%s", plain(err))
	}
	took := time.Since(begun)
	apart := begun.Add(took / 2).Sub(answer.Time)
	if apart.Abs() > mostApart+took/2 {
		which := "ahead of"
		if apart < 0 {
			which = "behind"
		}
		return fail(CheckHeadquarters, w.Name, "set the clock right: `timedatectl` here, and look at headquarters' too",
			"it knows this recorder, but this clock is %v %s its own", apart.Abs().Round(time.Second), which)
	}
	return pass(CheckHeadquarters, w.Name, "it is ours, knows this recorder, and its time is %v from ours", apart.Abs().Round(time.Millisecond))
}

// handshake goes as far as one can beside a recorder that runs: both sides show their certificates.
func handshake(ctx context.Context, w Way) Result {
	if err := shakeHands(ctx, w); err != nil {
		return fail(CheckHeadquarters, w.Name, headquartersAdvice(err), "%s", plain(err))
	}
	return pass(CheckHeadquarters, w.Name, "it is ours, and takes this recorder's certificate; %s", w.SkipAsk)
}

func shakeHands(ctx context.Context, w Way) error {
	host, err := dialled(w)
	if err != nil {
		return err
	}
	d := tls.Dialer{Config: w.TLS}
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return err
	}
	defer conn.Close()
	// In TLS 1.3 a server that refuses our certificate says so after the handshake; one that takes it waits for us.
	if err := conn.SetReadDeadline(time.Now().Add(refusalWithin)); err != nil {
		return err
	}
	if _, err = conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

func headquartersAdvice(err error) string {
	var (
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		op      *net.OpError
		refused *uplink.RefusedError
		busy    *uplink.BusyError
	)
	switch {
	case errors.As(err, &name):
		return "headquarters' certificate is for other names: put this one into `names` of its settings, or correct the address here"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "a certificate is not valid at this time: set this clock right (`timedatectl`), or renew headquarters' certificate"
	case errors.As(err, &unknown), errors.As(err, &invalid):
		return "whoever answers there is not our headquarters: correct the address, or copy the identity folder again"
	case errors.As(err, &op) && op.Op == "remote error", errors.As(err, &refused), strings.Contains(err.Error(), "headquarters answered 40"):
		return "headquarters does not accept this recorder: make its identity there (`linekeeper-hq recorder add`), and copy it to the identity folder"
	case errors.As(err, &busy):
		return "headquarters is in trouble itself: look at its log"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "the link is there and does not carry an answer: look for a firewall or proxy between, and at headquarters' log"
	}
	return linkAdvice(err)
}

// plain is an error without what only a program's author reads.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil && errors.As(err, new(*net.DNSError)) {
		return op.Err.Error()
	}
	return err.Error()
}
