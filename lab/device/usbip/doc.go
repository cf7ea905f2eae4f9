// Package usbip is USB sound cards that are nothing but a program: it speaks the far side of Linux's USB/IP protocol
// (Documentation/usb/usbip_protocol.rst), to which the kernel's vhci-hcd connects the near side, so that its own USB core
// and snd-usb-audio drive the card.
//
//	wire := usbip.NewWire()
//	card := usbip.NewCard(usbip.Kind{Rate: 48000, Channels: 1}, wire)
//	err := card.Serve(conn) // until conn is closed, which pulls the card out
//	err = wire.Play(ctx, 48000, 1, samples)
//
// A card is a USB Audio 1.0 device of full speed: one capture stream of 16 bits at one rate, a few milliseconds in each
// packet (Universal Serial Bus Device Class Definition for Audio Devices 1.0). Two of one Kind are as alike as two of one
// make are: same numbers, same names, no serial number.
//
// It keeps real time: a packet is answered once its time has gone by, and what was played meanwhile is in it, to the
// sample. Where the machine is late the packets are late, and none is lost. A Fault makes it misbehave.
package usbip
