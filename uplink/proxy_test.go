package uplink

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// relay is a little proxy: it takes one connection, has begin read whom to connect to and answer, and joins the two.
func relay(t *testing.T, target string, begin func(client net.Conn, in *bufio.Reader) error) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = client.Close() }()
		in := bufio.NewReader(client)
		if err := begin(client, in); err != nil {
			return
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = server.Close() }()
		go func() { _, _ = io.Copy(client, server) }()
		_, _ = io.Copy(server, in)
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// echo answers with what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// http1 is an HTTP proxy that wants a user.
func http1(status int) func(net.Conn, *bufio.Reader) error {
	return func(client net.Conn, in *bufio.Reader) error {
		r, err := http.ReadRequest(in)
		if err != nil {
			return err
		}
		user, password, _ := (&http.Request{Header: http.Header{"Authorization": {r.Header.Get("Proxy-Authorization")}}}).BasicAuth()
		if r.Method != http.MethodConnect || r.Host != "hq.example:8883" || user != "amina" || password != "secret" {
			_, err := fmt.Fprint(client, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
			return fmt.Errorf("%s %s of %q: %w", r.Method, r.Host, user, err)
		}
		_, err = fmt.Fprintf(client, "HTTP/1.1 %d %s\r\n\r\n", status, http.StatusText(status))
		return err
	}
}

// socks5 is a SOCKS proxy (RFC 1928) that resolves names and wants no user.
func socks5(client net.Conn, in *bufio.Reader) error {
	hello := make([]byte, 2)
	if _, err := io.ReadFull(in, hello); err != nil {
		return err
	}
	if _, err := io.ReadFull(in, make([]byte, hello[1])); err != nil {
		return err
	}
	if _, err := client.Write([]byte{5, 0}); err != nil {
		return err
	}
	request := make([]byte, 5)
	if _, err := io.ReadFull(in, request); err != nil {
		return err
	}
	where := make([]byte, int(request[4])+2)
	if _, err := io.ReadFull(in, where); err != nil {
		return err
	}
	if name := string(where[:len(where)-2]); request[3] != 3 || name != "hq.example" {
		return fmt.Errorf("connect to %q", name)
	}
	_, err := client.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	return err
}

// TestProxies reaches a name that only the proxy knows, through each kind of proxy, as the environment says.
func TestProxies(t *testing.T) {
	for name, tt := range map[string]struct {
		variable, scheme string
		begin            func(net.Conn, *bufio.Reader) error
	}{
		"CONNECT":          {"HTTPS_PROXY", "http://amina:secret@", http1(http.StatusOK)},
		"CONNECT, for all": {"ALL_PROXY", "http://amina:secret@", http1(http.StatusOK)},
		"SOCKS":            {"all_proxy", "socks5://", socks5},
		"SOCKS, by name":   {"https_proxy", "socks5h://", socks5},
	} {
		t.Run(name, func(t *testing.T) {
			clearProxies(t)
			t.Setenv(tt.variable, tt.scheme+relay(t, echo(t), tt.begin))
			n := Network{Traffic: NewTraffic(0)}
			c, err := n.DialThrough(t.Context(), ProxyFromEnvironment(), "hq.example:8883")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 5)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
				t.Errorf("%q, %v", got, err)
			}
			if n.Traffic.Total() <= 10 {
				t.Error("what goes through the proxy is not counted")
			}
			n.Cut() // ends it, as it does connections of its own
			if _, err := io.ReadFull(c, got); err == nil {
				t.Error("the connection goes on after a cut")
			}
		})
	}
}

func TestProxyRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		proxy string
		want  string
	}{
		"forbidden":  {"http://amina:secret@" + relay(t, echo(t), http1(http.StatusForbidden)), "403 Forbidden to CONNECT hq.example:8883"},
		"wrong user": {"http://amina:wrong@" + relay(t, "", http1(http.StatusOK)), "407"},
		"no proxy":   {"ftp://127.0.0.1:1", "none of http, https, socks5"},
	} {
		t.Run(name, func(t *testing.T) {
			clearProxies(t)
			t.Setenv("HTTPS_PROXY", tt.proxy)
			var n Network
			c, err := n.DialThrough(t.Context(), ProxyFromEnvironment(), "hq.example:8883")
			if err == nil {
				_ = c.Close()
				t.Fatal("connected")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "wrong@") {
				t.Errorf("%v, want %q, and no password", err, tt.want)
			}
		})
	}
}

// TestNoProxy reaches directly what NO_PROXY names.
func TestNoProxy(t *testing.T) {
	clearProxies(t)
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("NO_PROXY", "127.0.0.1")
	var n Network
	c, err := n.DialThrough(t.Context(), ProxyFromEnvironment(), echo(t))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

func clearProxies(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"} {
		t.Setenv(name, "")
	}
}
