package device

import (
	"context"
	"fmt"
)

// PlugSDCard puts an SD card into the slot (Config.Slot) whose content is the raw image in a file of the host, a power of
// two long. The guest sees it about a second later, as /dev/mmcblk0 or the next number.
func (d *Device) PlugSDCard(ctx context.Context, image string) error {
	if err := d.monitor(ctx, "blockdev-add", map[string]any{"driver": "raw", "node-name": "sdcard",
		"file": map[string]any{"driver": "file", "filename": image}}); err != nil {
		return fmt.Errorf("put an SD card in: %w", err)
	}
	if err := d.monitor(ctx, "blockdev-insert-medium", map[string]any{"id": "slot", "node-name": "sdcard"}); err != nil {
		return fmt.Errorf("put an SD card in: %w", err)
	}
	return nil
}

// PullSDCard pulls the SD card out, written to or not.
func (d *Device) PullSDCard(ctx context.Context) error {
	if err := d.monitor(ctx, "blockdev-remove-medium", map[string]any{"id": "slot"}); err != nil {
		return fmt.Errorf("pull the SD card: %w", err)
	}
	if err := d.monitor(ctx, "blockdev-del", map[string]any{"node-name": "sdcard"}); err != nil {
		return fmt.Errorf("pull the SD card: %w", err)
	}
	return nil
}
