package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/cmd/internal/settings"
	"github.com/linekeeper/linekeeper/provision"
)

// The settings of a bundle stand in the identity folder. They hold where the settings file names neither a line nor a
// headquarters, as the one that comes with the package; else whoever wrote that one meant it.

// isBare says whether settings leave it to a bundle what is recorded and where it goes.
func (c *config) isBare() bool { return len(c.Lines) == 0 && !c.hasUplink() }

func (c *config) provisionedFile() string {
	return filepath.Join(c.identityDir(), provision.FileSettings)
}

// isNew says whether a recorder is not set up: neither the settings file nor a bundle says what is recorded.
func (c *config) isNew() bool {
	_, err := os.Stat(c.provisionedFile())
	return c.isBare() && errors.Is(err, fs.ErrNotExist)
}

// provisioned gives the settings of a bundle, over a bare settings file; that one where there are none.
func (c config) provisioned() (config, error) {
	file := c.provisionedFile()
	if _, err := os.Stat(file); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return c, c.check()
		}
		return c, fmt.Errorf("look for a bundle's settings: %w", err)
	}
	return c.readProvisioned(file)
}

// readProvisioned reads a bundle's settings. What the machine is stays as the settings file has it: its folders, its socket,
// its lights and its buttons.
func (c config) readProvisioned(file string) (config, error) {
	p := newConfig()
	p.file = file
	if err := settings.Load(file, &p); err != nil {
		return config{}, err
	}
	plain := newConfig()
	if p.Data != plain.Data || p.Control != plain.Control {
		return config{}, p.wrong("data", 0, "a bundle says neither where the recorder keeps its data nor its control socket")
	}
	p.Data, p.Control = c.Data, c.Control
	if p.Light == (lightConfig{}) {
		p.Light = c.Light
	}
	if p.Pause.Button == "" {
		p.Pause.Button = c.Pause.Button
	}
	if p.Service.Button == "" {
		p.Service.Button = c.Service.Button
	}
	return p, p.check()
}

// complete checks a bundle's settings, and adds the USB sound cards that are plugged in where they name no line.
func (c config) complete(text string) (string, error) {
	dir, err := os.MkdirTemp("", "linekeeper-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }() // only a copy
	file := filepath.Join(dir, provision.FileSettings)
	check := func() (config, error) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return config{}, err
		}
		p, err := c.readProvisioned(file)
		if err != nil { // the copy's folder is gone when somebody reads this
			return p, errors.New(strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""))
		}
		return p, nil
	}
	p, err := check()
	if err != nil || len(p.Lines) > 0 {
		return text, err
	}
	inputs, err := capture.Inputs()
	if err != nil {
		return "", err
	}
	lines := 0
	for _, in := range inputs {
		if in.Port != "" {
			lines++
			text += fmt.Sprintf("\n[[line]]\nname = \"line %d\"\ndevice = %q\n", lines, in.Device)
		}
	}
	if lines == 0 {
		return "", errors.New("they name no line, and no USB sound card is plugged in: plug it in, and put the stick in again")
	}
	_, err = check()
	return text, err
}
