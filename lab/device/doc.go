// Package device is a virtual recorder's board: Debian 12 on its own kernel under QEMU, with systemd, two
// real ALSA cards (snd-aloop), a real GPIO chip (gpio-sim), USB sound cards, USB sticks and SD cards that are put in and
// pulled, the keys of a handset (uinput), a data disk whose every write can be logged, and a power cord that can be
// pulled.
//
//	image, err := device.Prepare(ctx, cacheDir, device.Options{Log: log})
//	d, err := device.Start(ctx, image, device.Config{Data: &device.Disk{Mount: "/var/lib/linekeeper"}})
//	defer d.Close()
//	out, err := d.Run(ctx, "uname", "-a")
//	level, err := d.Level(ctx, 17)
//	err = d.Play(ctx, device.Sound{Card: 1, Rate: 8000, Channels: 1, Samples: samples})
//	card, err := d.PlugUSBCard(ctx, 1, usbip.Kind{Rate: 48000, Channels: 1})
//	err = d.PlayUSB(ctx, 1, device.Sound{Rate: 48000, Channels: 1, Samples: samples})
//	d.PowerCut()
//	err = d.PowerOn(ctx)
//
// Every wait ends with its context, and with the guest's death. The guest is always emulated (TCG): where KVM answers it
// may still not work. Nothing needs root where unprivileged user namespaces work (uidmap), but what the host's packages
// need for installing; where they do not, Prepare says what is missing.
// A device whose program dies, however it dies, dies with it; a folder that is left behind is removed by the next Start.
//
// USB sound cards are of package usbip, inside the agent, on the kernel's vhci-hcd. dummy_hcd with a gadget of usb_f_uac2
// was tried first (kernel 6.1) and cannot be one: it has no isochronous endpoints, so that the gadget finds none and is
// refused when it is bound (afunc_bind, ENODEV), before any bus sees a card.
//
// The guest reaches what listens on the host's 127.0.0.1 at HostAddress.
package device
