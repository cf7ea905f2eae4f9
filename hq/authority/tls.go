package authority

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/linekeeper/linekeeper/call"
)

// WebTLS is for the web pages: a server certificate for the names (host names and IP addresses, at least one), renewed
// while the program runs.
func (a *Authority) WebTLS(names []string) (*tls.Config, error) {
	s := &server{authority: a, names: names}
	if _, err := s.certificate(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certificate}, nil
}

// RecorderTLS is for recorders: TLS 1.3, and a certificate of ours is demanded, whose common name is the device ID of
// the very key that it certifies.
func (a *Authority) RecorderTLS(names []string) (*tls.Config, error) {
	cfg, err := a.WebTLS(names)
	if err != nil {
		return nil, err
	}
	cfg.MinVersion = tls.VersionTLS13
	cfg.ClientAuth = tls.RequireAndVerifyClientCert
	cfg.ClientCAs = x509.NewCertPool()
	cfg.ClientCAs.AddCert(a.ca)
	cfg.Time = a.now
	cfg.VerifyConnection = func(s tls.ConnectionState) error { return verifyDevice(s.PeerCertificates) }
	return cfg, nil
}

func verifyDevice(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("the recorder shows no certificate")
	}
	key, ok := chain[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return fmt.Errorf("the client's certificate is for a key of kind %T, not a recorder's", chain[0].PublicKey)
	}
	if name := chain[0].Subject.CommonName; call.DeviceID(name) != call.DeviceIDOf(key) {
		return fmt.Errorf("the client's certificate says %q, its key says %q", name, call.DeviceIDOf(key))
	}
	return nil
}

// server is the certificate of headquarters' servers for some names.
type server struct {
	authority *Authority
	names     []string
	current   *tls.Certificate // guarded by the authority's mu
}

// certificate is a tls.Config's GetCertificate: the one in hand, or a new one near its end.
func (s *server) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.authority.mu.Lock()
	defer s.authority.mu.Unlock()
	if s.current != nil && s.authority.fits(s.current.Leaf, s.names) {
		return s.current, nil
	}
	next, err := s.authority.serverCertificate(s.names)
	if err == nil {
		s.current = next
	}
	return next, err
}

// fits says whether a server certificate still serves: ours, for just these names, and not near its end.
func (a *Authority) fits(cert *x509.Certificate, names []string) bool {
	dns, ips := split(names)
	return cert.CheckSignatureFrom(a.ca) == nil &&
		slices.Equal(cert.DNSNames, dns) &&
		slices.EqualFunc(cert.IPAddresses, ips, net.IP.Equal) &&
		cert.NotAfter.Sub(a.now()) > renewLeft
}

// serverCertificate reads the server's certificate or signs a new one.
func (a *Authority) serverCertificate(names []string) (*tls.Certificate, error) {
	if len(names) == 0 {
		return nil, errors.New("headquarters has no host name: name at least one by which recorders and browsers reach it")
	}
	key, err := loadOrMake(a.path("server.key"), replaceable, newECDSA, parseECDSA, nil)
	if err != nil {
		return nil, err
	}
	path := a.path("server.crt")
	cert, err := readCertificate(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read server certificate %s: %w (%s)", path, err, replaceable)
	}
	if err != nil || !a.fits(cert, names) || !key.PublicKey.Equal(cert.PublicKey) {
		if cert, err = a.signServer(path, &key.PublicKey, names); err != nil {
			return nil, err
		}
	}
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

func (a *Authority) signServer(path string, pub *ecdsa.PublicKey, names []string) (*x509.Certificate, error) {
	dns, ips := split(names)
	now := a.now()
	der, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "Linekeeper headquarters server"},
		DNSNames:    dns,
		IPAddresses: ips,
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(serverLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, pub)
	if err != nil {
		return nil, fmt.Errorf("sign server certificate for %v: %w", names, err)
	}
	if err := publish(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), true); err != nil {
		return nil, fmt.Errorf("keep server certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func split(names []string) (dns []string, ips []net.IP) {
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, name)
		}
	}
	return dns, ips
}
