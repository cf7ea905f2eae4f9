package uplink

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// ProxyFromEnvironment gives the proxy through which an address is reached, nil where there is none: that of HTTPS_PROXY,
// else of ALL_PROXY (or the same in lower case), but for what NO_PROXY names and this machine itself. Proxies are
// http://, https://, socks5:// and socks5h://, with a user where they want one. The environment is read once.
func ProxyFromEnvironment() func(*url.URL) (*url.URL, error) {
	cfg := httpproxy.FromEnvironment()
	for _, name := range []string{"ALL_PROXY", "all_proxy"} {
		if cfg.HTTPSProxy == "" {
			cfg.HTTPSProxy = os.Getenv(name)
		}
	}
	return cfg.ProxyFunc()
}

// DialThrough connects to host:port, through its proxy where it has one: for what is not HTTP.
func (n *Network) DialThrough(ctx context.Context, via func(*url.URL) (*url.URL, error), host string) (net.Conn, error) {
	through, err := via(&url.URL{Scheme: "https", Host: host})
	if err != nil {
		return nil, fmt.Errorf("find the proxy for %s: %w", host, err)
	}
	if through == nil {
		return n.Dial(ctx, "tcp", host)
	}
	conn, err := n.dialProxy(ctx, through, host)
	if err != nil {
		return nil, fmt.Errorf("connect through proxy %s: %w", through.Redacted(), err)
	}
	return conn, nil
}

func (n *Network) dialProxy(ctx context.Context, through *url.URL, host string) (net.Conn, error) {
	switch through.Scheme {
	case "socks5", "socks5h":
		dialer, err := proxy.FromURL(through, forward{n})
		if err != nil {
			return nil, err
		}
		in, ok := dialer.(proxy.ContextDialer)
		if !ok {
			return nil, errors.New("its dialer takes no context")
		}
		return in.DialContext(ctx, "tcp", host)
	case "http", "https":
		conn, err := n.Dial(ctx, "tcp", proxyAddress(through))
		if err != nil {
			return nil, err
		}
		if through.Scheme == "https" {
			conn = tls.Client(conn, &tls.Config{ServerName: through.Hostname(), MinVersion: tls.VersionTLS12})
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		if err := connect(conn, through, host); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	}
	return nil, fmt.Errorf("%q is none of http, https, socks5, socks5h", through.Scheme)
}

// proxyAddress is that of an HTTP proxy, with its port.
func proxyAddress(through *url.URL) string {
	port := through.Port()
	switch {
	case port != "":
	case through.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(through.Hostname(), port)
}

// connect has an HTTP proxy connect to host.
func connect(conn net.Conn, through *url.URL, host string) error {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: host}, Host: host, Header: http.Header{}}
	if u := through.User; u != nil {
		password, _ := u.Password()
		request.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := request.Write(conn); err != nil {
		return err
	}
	answer := bufio.NewReaderSize(conn, 4<<10)
	response, err := http.ReadResponse(answer, request)
	if err != nil {
		return fmt.Errorf("answer to CONNECT: %w", err)
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %s to CONNECT %s", response.Status, host)
	}
	if answer.Buffered() > 0 { // a TLS server does not speak first
		return errors.New("it sends what nobody asked for")
	}
	return nil
}

// forward dials SOCKS proxies.
type forward struct{ network *Network }

func (f forward) Dial(network, address string) (net.Conn, error) {
	return f.network.Dial(context.Background(), network, address)
}

func (f forward) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f.network.Dial(ctx, network, address)
}
