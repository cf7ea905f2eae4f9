# U-Boot's script: chooses root A or B, and starts its kernel. Every board: nothing here but ${devtype}, ${devnum},
# ${distro_bootpart} and the load addresses is known of it.
#
# Each root may be tried three times without a word that it is good (slot good, in the root); then the other is. What is
# left stands in slots.0 and slots.1: the one with the higher number and a right checksum holds, the other is written, so
# that a power cut takes neither. Where both are damaged, or nothing is left of either root, A is tried as if it were new.
setenv slot_number 0
setenv slot_order "A B"
setenv slot_left_A 3
setenv slot_left_B 3
setenv slot_write 0
setenv slot_best 0
for f in 0 1; do
	if load ${devtype} ${devnum}:${distro_bootpart} ${kernel_addr_r} slots.${f}; then
		setenv slot_number 0
		if env import -c ${kernel_addr_r} ${filesize} slot_number; then
			if test 0x${slot_number} -gt 0x${slot_best}; then
				setenv slot_best ${slot_number}
				env import -c ${kernel_addr_r} ${filesize} slot_order slot_left_A slot_left_B
				if test ${f} = 0; then setenv slot_write 1; else setenv slot_write 0; fi
			fi
		fi
	fi
done
setenv slot
for s in ${slot_order}; do
	if test -z "${slot}"; then
		if test ${s} = A; then
			if test ${slot_left_A} -gt 0; then setexpr slot_left_A ${slot_left_A} - 1; setenv slot A; fi
		else
			if test ${slot_left_B} -gt 0; then setexpr slot_left_B ${slot_left_B} - 1; setenv slot B; fi
		fi
	fi
done
if test -z "${slot}"; then
	setenv slot_order "A B"; setenv slot_left_A 2; setenv slot_left_B 3; setenv slot A
fi
setexpr slot_number ${slot_best} + 1
env export -c -s 400 ${kernel_addr_r} slot_number slot_order slot_left_A slot_left_B
fatwrite ${devtype} ${devnum}:${distro_bootpart} ${kernel_addr_r} slots.${slot_write} 400

if test ${slot} = A; then setenv root 2; else setenv root 3; fi
echo "root ${slot}; tries left: A ${slot_left_A}, B ${slot_left_B}"
part uuid ${devtype} ${devnum}:${root} rootid
# The last console is /dev/console. On a Raspberry Pi ttyAMA0 is the Bluetooth chip's.
if test "${board}" = "qemu-arm"; then setenv consoles "console=ttyAMA0"; else setenv consoles "console=tty1 console=ttyS1,115200"; fi
setenv bootargs "${consoles} root=PARTUUID=${rootid} ro rootwait linekeeper.slot=${slot} systemd.volatile=state systemd.show_status=1 panic=10"
load ${devtype} ${devnum}:${root} ${kernel_addr_r} boot/vmlinuz
# 64 MiB behind the kernel: a Raspberry Pi's own ${ramdisk_addr_r} lies within a kernel of today's size.
setexpr ramdisk_at ${kernel_addr_r} + 4000000
load ${devtype} ${devnum}:${root} ${ramdisk_at} boot/initrd.img
if test -n "${fdt_addr}"; then setenv tree ${fdt_addr}; else setenv tree ${fdtcontroladdr}; fi
booti ${kernel_addr_r} ${ramdisk_at}:${filesize} ${tree}
# Not reached but where the root has no kernel that starts: what was tried is counted, and the next round takes the other.
sleep 5
reset
