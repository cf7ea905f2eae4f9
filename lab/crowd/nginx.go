package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/linekeeper/linekeeper/lab/station"
)

const nginx = "/usr/sbin/nginx"

func nginxVersion() string {
	out, _ := exec.Command(nginx, "-v").CombinedOutput() // said below, where it is started
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "nginx version: ")
}

// throughNginx puts the files that go over the first protocol into a folder through nginx, and gives how long that took.
func (c *crowd) throughNginx(ctx context.Context) (took time.Duration, err error) {
	dir := filepath.Join(c.dir, "nginx")
	address, err := c.configureNginx(dir)
	if err != nil {
		return 0, err
	}
	p, err := station.Start("nginx", filepath.Join(dir, "log"), nil, nil, nginx, "-p", dir, "-c", "nginx.conf")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	clients := make([]*http.Client, len(c.all))
	connecting, working := errgroup.WithContext(ctx)
	connecting.SetLimit(atOnce)
	for i, r := range c.all {
		clients[i] = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.tls.RootCAs}, MaxConnsPerHost: 1}}
		defer clients[i].CloseIdleConnections()
		connecting.Go(func() error { return get(working, clients[i], "https://"+address+"/", p) })
	}
	if err := connecting.Wait(); err != nil {
		return 0, err
	}
	begin := time.Now()
	putting, working := errgroup.WithContext(ctx)
	for i, r := range c.all {
		putting.Go(func() error {
			for _, f := range r.files[0] {
				name := f.id.String()[:2] + "/" + f.id.String() + ".lkc"
				if err := put(working, clients[i], "https://"+address+"/"+name, f.bytes); err != nil {
					return err
				}
				if err := syncPath(filepath.Join(dir, "files", name)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = putting.Wait()
	return time.Since(begin), err
}

func (c *crowd) configureNginx(dir string) (address string, err error) {
	if address, err = station.FreeAddress(""); err != nil {
		return "", err
	}
	if _, err := c.head.Command("certificate", "--name", "127.0.0.1", "--out", filepath.Join(dir, "tls")); err != nil {
		return "", err
	}
	conf := fmt.Sprintf(`daemon off;
user root;
pid nginx.pid;
error_log stderr error;
worker_processes auto;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
	access_log off;
	server {
		listen %s ssl backlog=4096;
		ssl_certificate tls/server.crt;
		ssl_certificate_key tls/server.key;
		ssl_protocols TLSv1.3;
		keepalive_requests 100000;
		client_max_body_size 0;
		root files;
		client_body_temp_path temp;
		location / { dav_methods PUT; create_full_put_path on; }
	}
}
`, address)
	return address, errors.Join(os.MkdirAll(filepath.Join(dir, "files"), 0o755), os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600))
}

// get makes a client's connection; nginx may still be starting.
func get(ctx context.Context, client *http.Client, url string, p *station.Process) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return err
		case <-p.Done():
			return fmt.Errorf("it ended: %w: %s", p.Err(), p.LastWords())
		}
	}
}

func put(ctx context.Context, client *http.Client, url string, b []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(b))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("PUT %s: %s", url, resp.Status)
	}
	return err
}

// syncPath makes a file durable, and its folder.
func syncPath(path string) error {
	for _, p := range []string{path, filepath.Dir(path)} {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
