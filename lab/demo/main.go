// Command demo is `make run`: headquarters and one recorder beside each other, with a simulated telephone line that goes
// through the real ALSA library, or a real card. It keeps everything in one folder and goes on where it left off.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/linekeeper/linekeeper/lab/linesim"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var d demo
	flag.StringVar(&d.input, "input", "", "ALSA device to record, as `linekeeper inputs` names it; empty: a simulated line")
	flag.StringVar(&d.dir, "state", "run", "folder to keep everything in")
	flag.StringVar(&d.bin, "bin", "bin", "folder of the programs")
	flag.Parse()
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type demo struct {
	input, dir, bin string

	mu sync.Mutex // of what is printed
}

func (d *demo) run(ctx context.Context) error {
	var err error
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return err
	}
	device, env := d.input, []string(nil)
	if device == "" {
		if device, env, err = d.simulate(ctx); err != nil {
			return fmt.Errorf("make the simulated line: %w", err)
		}
	}
	hq, err := station.NewHeadquarters(filepath.Join(d.bin, "linekeeper-hq"), filepath.Join(d.dir, "headquarters"),
		"127.0.0.1:8443", "127.0.0.1:8444", "127.0.0.1:8883", nil)
	if err != nil {
		return err
	}
	recorder, err := station.NewRecorder(filepath.Join(d.bin, "linekeeper"), filepath.Join(d.dir, "recorder"), "Demo office", hq,
		station.RecorderOptions{
			Lines:    []station.Line{{Name: "desk phone", Device: device}},
			HangOver: "5s",
			Order:    []string{"https", "mqtt"},
			Env:      env,
		})
	if err != nil {
		return err
	}
	return d.keep(ctx, hq, recorder)
}

// simulate renders a loop of calls and makes an ALSA card that plays it for ever, in real time.
func (d *demo) simulate(ctx context.Context) (device string, env []string, err error) {
	const rate = 8000
	voices, err := phone.FindVoices()
	if err != nil {
		return "", nil, err
	}
	loop, err := phone.DemoLoop(voices, rate)
	if err != nil {
		return "", nil, err
	}
	dir := filepath.Join(d.dir, "line")
	sound := filepath.Join(dir, "loop.raw")
	sim, err := linesim.Install(ctx, dir, linesim.Card{Name: "deskphone", File: sound, Rate: rate, Channels: 1, Loop: true})
	if err != nil {
		return "", nil, err
	}
	return "deskphone", []string{sim.Env()}, linesim.WriteSamples(sound, loop.Samples)
}

// keep starts both programs, prints what happens, and stops them when ctx ends or one of them does.
func (d *demo) keep(ctx context.Context, hq *station.Headquarters, recorder *station.Recorder) error {
	starting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	head, err := hq.Start(starting, d.print)
	if err != nil {
		return err
	}
	fmt.Printf("\n  %s\n  user %s, password %s\n\n  (the certificate is of headquarters' own authority: your browser will ask)\n\n", hq.URL(), hq.User, hq.Password)
	office, err := recorder.Start(starting, d.print)
	if err != nil {
		_ = head.Stop()
		return err
	}
	select {
	case <-ctx.Done():
		fmt.Println("stopping")
	case <-office.Done():
		err = fmt.Errorf("the recorder ended: %w\n%s", office.Err(), office.LastWords())
	case <-head.Done():
		err = fmt.Errorf("headquarters ended: %w\n%s", head.Err(), head.LastWords())
	}
	if stopErr := office.Stop(); err == nil {
		err = stopErr
	}
	if stopErr := head.Stop(); err == nil {
		err = stopErr
	}
	if err == nil {
		fmt.Println("stopped; `make run` goes on from here. Logs and data are in", d.dir)
	}
	return err
}

// print shows a line for each thing that a person would want to see.
func (d *demo) print(e station.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := time.Now().Format(time.TimeOnly)
	switch e.Message {
	case "call began":
		fmt.Printf("%s  call began     %s on %s (%s)\n", at, e.Text("call"), e.Text("line"), e.Text("reason"))
	case "call ended":
		fmt.Printf("%s  call ended     %s after %s (%s)\n", at, e.Text("call"), e.Text("duration"), e.Text("reason"))
	case "delivered":
		fmt.Printf("%s  delivered      %s\n", at, e.Text("call"))
	default:
		if level := e.Text("level"); level == "WARN" || level == "ERROR" {
			fmt.Printf("%s  %s: %s %s%s%s\n", at, e.Program, e.Message, e.Text("alarm"), e.Text("cause"), e.Text("error"))
		}
	}
}
