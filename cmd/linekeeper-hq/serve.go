package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/hq/authority"
	"github.com/linekeeper/linekeeper/hq/ingest"
	"github.com/linekeeper/linekeeper/hq/media"
	"github.com/linekeeper/linekeeper/hq/service"
	"github.com/linekeeper/linekeeper/hq/web"
	"github.com/linekeeper/linekeeper/seal"
)

func serveCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Receive calls, and show and play them in the web pages",
		Args:  command.Exactly(0, "no arguments"),
	}
	newLog := command.LogFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, err := newLog()
		if err != nil {
			return err
		}
		c, err := loadConfig(o.Config)
		if err != nil {
			return err
		}
		return serve(cmd.Context(), c, log)
	}
	return cmd
}

// serve runs headquarters until ctx ends.
func serve(ctx context.Context, c config, log *slog.Logger) error {
	var broker *service.Broker
	if c.Broker.URL != "" {
		broker = &service.Broker{URL: c.Broker.URL}
		if c.Broker.Authority != "" {
			roots, err := os.ReadFile(c.Broker.Authority)
			if err != nil {
				return fmt.Errorf("read who signed the broker's certificate: %w", err)
			}
			broker.Roots = roots
		}
	}
	arrived := make(chan call.ID, 256)
	s, err := service.Open(ctx, service.Config{
		Data: c.Data, Names: c.Names, Web: c.Listen.Web, Recorders: c.Listen.Recorders, MQTT: c.Listen.MQTT, Broker: broker, MaxCall: int64(c.Largest),
		Log: log, OnEvent: func(e ingest.Event) { note(log, arrived, e) },
	})
	if err != nil {
		return err
	}
	sounds := media.New(s.Audio(), s.Library(), func() (seal.Keys, error) { return callKeys(s.Authority()) }, log)
	go draw(ctx, sounds, arrived, log)
	pages := web.New(web.Config{Library: s.Library(), Commands: s.Library(), Users: s.Library().Accounts(), Media: sounds, Zone: c.zone, Log: log,
		Bundles: c.bundles(s.Authority(), s.Library(), "")})

	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	go feedWatchdog(ctx, s)
	log.Info("ready", "web", s.WebAddress().String(), "recorders", s.RecordersAddress().String(), "version", version)
	err = s.Run(ctx, pages)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	return err
}

// callKeys are the keys that open calls.
func callKeys(a *authority.Authority) (seal.Keys, error) {
	text, err := a.CallKeys()
	if err != nil {
		return nil, err
	}
	return seal.ParseKeys(text)
}

// note writes what happens into the log, and has the waveforms of new calls drawn.
func note(log *slog.Logger, arrived chan<- call.ID, e ingest.Event) {
	at := log.With("device", e.Device, "via", e.Via)
	switch e.Kind {
	case ingest.EventDelivered:
		at.Info("call arrived", "call", e.Call, "line", e.Line, "size", e.Size)
		select {
		case arrived <- e.Call:
		default: // it is drawn when somebody looks
		}
	case ingest.EventRefused:
		at.Warn("refused", "call", e.Call, "error", e.Err)
	case ingest.EventOnline:
		at.Info("recorder is online")
	case ingest.EventOffline:
		at.Info("recorder is offline")
	}
}

// draw makes the waveforms of calls as they arrive, so that the list shows them at once.
func draw(ctx context.Context, sounds *media.Media, arrived <-chan call.ID, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-arrived:
			if _, err := sounds.Peaks(ctx, id); err != nil {
				log.Warn("no waveform", "call", id, "error", err)
			}
		}
	}
}

// feedWatchdog tells systemd that headquarters is alive while its library answers.
func feedWatchdog(ctx context.Context, s *service.Service) {
	patience, err := daemon.SdWatchdogEnabled(false)
	if err != nil || patience == 0 {
		return
	}
	tick := time.NewTicker(patience / 4)
	defer tick.Stop()
	for {
		if _, err := s.Library().Recorders(ctx); err == nil {
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
