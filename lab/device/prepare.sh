#!/bin/sh
# Makes what a virtual device boots, from Debian packages alone, in the folder OUT:
#
#   prepare.sh OUT KERNEL SUITE    vmlinuz, initrd (busybox and the modules that reach the root), root.img (ext4)
#
# KERNEL is a release such as linux-headers-amd64 depends on: its image is downloaded and unpacked, never installed.
# Needs no root where unprivileged user namespaces work (uidmap, and a line in /etc/subuid and /etc/subgid).
set -eu
PATH=$PATH:/usr/sbin:/sbin # which of others than root has neither
out=$1 kernel=$2 suite=$3
namespace=
if [ "$(id -u)" != 0 ]; then
	namespace='unshare --map-root-user --map-auto'
	if ! said=$($namespace true 2>&1); then
		echo "the root file system has files of many users: make it as root, or where $(id -un) may use a user namespace:" \
			"with the package uidmap, a line for $(id -un) in /etc/subuid and in /etc/subgid (usermod --add-subuids," \
			"--add-subgids), and user namespaces allowed by the kernel. Here '$namespace' says: $said" >&2
		exit 1
	fi
fi
work=$(mktemp -d "$out/work.XXXXXX")
cd "$work"

# The kernel, and gpio-sim, which Debian leaves out, built against its headers.
apt-get -qq download "linux-image-$kernel" >/dev/null
dpkg-deb -x linux-image-*.deb image
source=linux-source-$(echo "$kernel" | cut -d. -f1,2)
mkdir extra
tar -xf "/usr/src/$source.tar.xz" --strip-components=1 "$source/drivers/gpio/gpio-sim.c" "$source/drivers/gpio/gpiolib.h" "$source/kernel/irq/irq_sim.c"
mv drivers/gpio/gpio-sim.c drivers/gpio/gpiolib.h kernel/irq/irq_sim.c extra/
# irq_sim is no module of its own: it gets a licence, and irq_to_desc, which is not exported, through the irq's data.
sed -i '/#include <linux\/slab.h>/a #include <linux/module.h>\n#include <linux/irqdesc.h>\nMODULE_LICENSE("GPL");
s/irq_to_desc(irqnum)/irq_data_to_desc(irq_get_irq_data(irqnum))/' extra/irq_sim.c
echo 'obj-m += irq_sim.o gpio-sim.o' >extra/Makefile
make -s -C "/usr/src/linux-headers-$kernel" M="$work/extra" modules >/dev/null
modules=lib/modules/$kernel
mkdir "image/$modules/extra"
cp extra/*.ko "image/$modules/extra/"
depmod -b image "$kernel"

# files_of MODULE... prints their files and those of what they need, in the order of loading.
files_of() {
	modprobe -d image -S "$kernel" -a -D "$@" | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++'
}

# The root gets the modules that the lab is about, and their indexes.
mkdir -p "root/usr/$modules"
files_of virtio_pci virtio_blk virtio_console virtio_net virtio_rng af_packet ext4 vfat nls_ascii nls_cp437 nls_utf8 \
	overlay loop autofs4 configfs exfat xhci_pci usb_storage uas sd_mod usbhid hid_generic uinput evdev gpio-sim \
	snd_aloop snd_usb_audio vhci_hcd sdhci_pci mmc_block sch_netem sch_tbf i6300esb dm_mod dm_flakey tcp_bbr >wanted
while read -r file; do
	to=root/usr/$modules/${file#*"$modules"/}
	mkdir -p "$(dirname "$to")"
	cp "$file" "$to"
done <wanted
cp "image/$modules"/modules.builtin* "image/$modules/modules.order" "root/usr/$modules/"
ln -s usr/lib root/lib
depmod -b root "$kernel"
rm root/lib

mkdir -p root/etc/modules-load.d root/etc/systemd/system root/etc/systemd/network root/etc/modprobe.d
printf '%s\n' virtio_net snd_aloop gpio-sim uinput >root/etc/modules-load.d/lab.conf
# Two cards, so that one can be pulled while the other is heard.
echo 'options snd_aloop enable=1,1 id=Line1,Line2 pcm_substreams=8,8' >root/etc/modprobe.d/lab.conf
printf '[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n' >root/etc/systemd/network/lab.network
echo 'LABEL=labroot / ext4 noatime 0 0' >root/etc/fstab
echo device >root/etc/hostname
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
	fstrim.timer getty@tty1.service systemd-networkd-wait-online.service; do
	ln -s /dev/null "root/etc/systemd/system/$unit"
done

# The archive may be away for a moment.
tries=1
# shellcheck disable=SC2016 # expanded by mmdebstrap's shell
until mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Retries "3"' \
	--include=systemd-sysv,udev,dbus,kmod,procps,iproute2,e2fsprogs,systemd-timesyncd,alsa-utils,exfatprogs,libopus0,libmp3lame0 \
	--customize-hook='chroot "$1" passwd -d root >/dev/null' \
	--customize-hook='chroot "$1" systemctl enable --quiet systemd-networkd.service' \
	--customize-hook="sync-in $work/root /" \
	"$suite" root.tar; do
	[ $tries -lt 3 ] || exit 1
	echo "try $tries failed: again in 30 s" >&2
	sleep 30
	tries=$((tries + 1))
done

# mke2fs fills the image from a folder, whose owners only root, or root of a namespace, can set.
# shellcheck disable=SC2016 # expanded by the inner shell
$namespace sh -eu -c '
	mkdir tree
	tar -C tree --numeric-owner --exclude "./dev/*" -xf root.tar
	mke2fs -q -t ext4 -L labroot -d tree "$1" 1G
	rm -rf tree' sh "$out/root.img"

# The initrd finds the root, and puts beside it, under /run, what Go adds to it: the lab's agent and its units.
mkdir -p initrd/bin initrd/proc initrd/sys initrd/dev initrd/modules initrd/root
cp /bin/busybox initrd/bin/
for file in $(files_of virtio_pci virtio_blk virtio_console ext4 crc32c_generic); do
	cp "$file" initrd/modules/
	basename "$file" >>initrd/modules/order
done
cat >initrd/init <<'INIT'
#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc; $B mount -t sysfs sys /sys; $B mount -t devtmpfs dev /dev
for module in $($B cat /modules/order); do $B insmod /modules/$module; done
n=0; until root=$($B findfs LABEL=labroot 2>/dev/null) || [ $n -gt 200 ]; do $B sleep 0.05; n=$((n+1)); done
$B mount -t ext4 -o noatime "$root" /root || exec $B poweroff -f
for word in $($B cat /proc/cmdline); do
	case $word in lab.data=*)
		at=${word#lab.data=}
		$B mkdir -p "/root$at"
		$B grep -q virtio-data /root/etc/fstab || echo "/dev/disk/by-id/virtio-data $at ext4 noatime,x-systemd.device-timeout=15min 0 0" >>/root/etc/fstab ;;
	esac
done
$B mount -t tmpfs -o mode=755,nosuid,nodev run /root/run
$B cp -a /lab/. /root/run/
$B mount --move /dev /root/dev; $B mount --move /sys /root/sys; $B mount --move /proc /root/proc
exec $B switch_root /root /sbin/init
INIT
chmod +x initrd/init
(cd initrd && find . | cpio -o -H newc --quiet) >"$out/initrd"
cp "image/boot/vmlinuz-$kernel" "$out/vmlinuz"
cd /
rm -rf "$work"
