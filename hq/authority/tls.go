package authority

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

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
	kept := new(sessions)
	cfg.WrapSession, cfg.UnwrapSession = kept.wrap, kept.unwrap
	return cfg, nil
}

// EnrolTLS is for recorders over HTTPS: as RecorderTLS, and it lets two in beside, who come to be given a certificate: a
// recorder without one, and one whose certificate has ended. Which of these a request is from is for VerifyRecorder to say.
func (a *Authority) EnrolTLS(names []string) (*tls.Config, error) {
	cfg, err := a.RecorderTLS(names)
	if err != nil {
		return nil, err
	}
	cfg.ClientAuth = tls.RequestClientCert
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return nil
		}
		_, err := a.VerifyRecorder(s.PeerCertificates[0])
		return err
	}
	return cfg, nil
}

// VerifyRecorder checks a certificate that a client shows: it is of this authority, for clients, and its common name is the
// device ID of the key that it certifies. ended says that all of this holds, but its time is over.
func (a *Authority) VerifyRecorder(cert *x509.Certificate) (ended bool, err error) {
	now := a.now()
	switch err := a.signed(cert); {
	case err != nil:
		return false, fmt.Errorf("the client's certificate is not of this headquarters: %w", err)
	case !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return false, errors.New("the client's certificate is not for a client")
	case now.Before(cert.NotBefore):
		return false, fmt.Errorf("the client's certificate begins on %s, and it is %s", cert.NotBefore.Format(time.DateOnly), now.Format(time.DateOnly))
	}
	return now.After(cert.NotAfter), verifyDevice([]*x509.Certificate{cert})
}

// mostSigned bounds the certificates that are remembered.
const mostSigned = 4096

// signed checks that a certificate is of this authority. It remembers those that are, since a recorder shows its own with
// each request.
func (a *Authority) signed(cert *x509.Certificate) error {
	sum := sha256.Sum256(cert.Raw)
	a.mu.Lock()
	_, known := a.ours[sum]
	a.mu.Unlock()
	if known {
		return nil
	}
	if err := cert.CheckSignatureFrom(a.ca); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ours == nil || len(a.ours) >= mostSigned {
		a.ours = map[[sha256.Size]byte]struct{}{}
	}
	a.ours[sum] = struct{}{}
	return nil
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

// fits says whether a server certificate still serves: ours, for just these names, not near its end, and not signed while
// the clock was ahead: nobody would take that until the true time has come to it.
func (a *Authority) fits(cert *x509.Certificate, names []string) bool {
	dns, ips := split(names)
	return cert.CheckSignatureFrom(a.ca) == nil &&
		slices.Equal(cert.DNSNames, dns) &&
		slices.EqualFunc(cert.IPAddresses, ips, net.IP.Equal) &&
		cert.NotAfter.Sub(a.now()) > renewLeft && !cert.NotBefore.After(a.now())
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
	der, err := a.signFor(names, serverLife, pub)
	if err != nil {
		return nil, err
	}
	if err := publish(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), true); err != nil {
		return nil, fmt.Errorf("keep server certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func (a *Authority) signFor(names []string, life time.Duration, pub *ecdsa.PublicKey) ([]byte, error) {
	dns, ips := split(names)
	now := a.now()
	der, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "Linekeeper headquarters server"},
		DNSNames:    dns,
		IPAddresses: ips,
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, pub)
	if err != nil {
		return nil, fmt.Errorf("sign server certificate for %v: %w", names, err)
	}
	return der, nil
}

// IssueServer gives a key and a certificate (PEM) for a server beside headquarters, such as an MQTT broker, which
// recorders are to trust. It is not renewed by itself, and so lasts as long as the hardware.
func (a *Authority) IssueServer(names []string) (key, certificate []byte, err error) {
	if len(names) == 0 {
		return nil, nil, errors.New("issue a server certificate: name at least one host name or address")
	}
	k, err := newECDSA()
	if err != nil {
		return nil, nil, fmt.Errorf("issue a server certificate: %w", err)
	}
	der, err := a.signFor(names, brokerLife, &k.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, fmt.Errorf("issue a server certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// BrokerClient is the common name by which headquarters presents itself to a broker beside it.
const BrokerClient = "linekeeper-hq"

// BrokerTLS is for headquarters' own connection to a broker beside it. The broker's certificate must be of one of the
// roots (PEM; none: of this authority); headquarters shows one of this authority for BrokerClient, which opens none of
// its listeners for recorders.
func (a *Authority) BrokerTLS(roots []byte) (*tls.Config, error) {
	pool := x509.NewCertPool()
	if len(roots) == 0 {
		roots = a.CertificatePEM()
	}
	if !pool.AppendCertsFromPEM(roots) {
		return nil, errors.New("the file of who signed the broker's certificate holds no certificate in PEM")
	}
	key, err := newECDSA()
	if err != nil {
		return nil, fmt.Errorf("make key for the broker: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Time: a.now,
		// Signed anew for each connection, so that it never ends while the program runs.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			now := a.now()
			der, err := a.sign(&x509.Certificate{
				Subject:     pkix.Name{CommonName: BrokerClient},
				NotBefore:   now.Add(-backdate),
				NotAfter:    now.Add(serverLife),
				KeyUsage:    x509.KeyUsageDigitalSignature,
				ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			}, &key.PublicKey)
			return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
		},
	}, nil
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
