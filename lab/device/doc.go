// Package device is a virtual recorder's board: Debian 12 on its own kernel under QEMU, with systemd, two
// real ALSA cards (snd-aloop), a real GPIO chip (gpio-sim), USB sticks, a data disk whose every write can be logged, and
// a power cord that can be pulled.
//
//	image, err := device.Prepare(ctx, cacheDir, device.Options{Log: log})
//	d, err := device.Start(ctx, image, device.Config{Data: &device.Disk{Mount: "/var/lib/linekeeper"}})
//	defer d.Close()
//	out, err := d.Run(ctx, "uname", "-a")
//	level, err := d.Level(ctx, 17)
//	err = d.Play(ctx, device.Sound{Card: 1, Rate: 8000, Channels: 1, Samples: samples})
//	d.PowerCut()
//	err = d.PowerOn(ctx)
//
// Every wait ends with its context, and with the guest's death. The guest is always emulated (TCG): where KVM answers it
// may still not work. Nothing needs root where user namespaces work, but what the host's packages need for installing.
// A device whose program dies, however it dies, dies with it; a folder that is left behind is removed by the next Start.
//
// The guest reaches what listens on the host's 127.0.0.1 at HostAddress.
package device
