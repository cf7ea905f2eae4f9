//go:build deps

// Package linekeeper pins what the rooms under construction are about to import.
package linekeeper

import (
	_ "github.com/coreos/go-systemd/v22/daemon"
	_ "github.com/eclipse/paho.mqtt.golang"
	_ "github.com/gen2brain/malgo"
	_ "github.com/go-jose/go-jose/v4"
	_ "github.com/hajimehoshi/go-mp3"
	_ "github.com/mattn/go-sqlite3"
	_ "github.com/mewkiz/flac"
	_ "github.com/mochi-mqtt/server/v2"
	_ "github.com/mochi-mqtt/server/v2/listeners"
	_ "github.com/pelletier/go-toml/v2"
	_ "github.com/pion/opus"
	_ "github.com/pressly/goose/v3"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/spf13/cobra"
	_ "github.com/tus/tusd/v2/pkg/filestore"
	_ "github.com/tus/tusd/v2/pkg/handler"
	_ "github.com/tus/tusd/v2/pkg/memorylocker"
	_ "go.uber.org/goleak"
	_ "golang.org/x/crypto/argon2"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "periph.io/x/conn/v3/gpio/gpiotest"
	_ "periph.io/x/host/v3"
)
