"""Delays what the start of a chain sends, by so many seconds: slow_link.py SECONDS

Without it an answer is there before the next probe leaves. A TUN device takes the packets, and they
go on to the first router in their order. It returns when the device is up."""
import collections
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import time

TUNSETIFF, TUN_NO_PI = 0x400454CA, 0x1001


def ip(*words):
    return subprocess.check_output(("ip",) + words, text=True)


delay = float(sys.argv[1])
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"slow", TUN_NO_PI))
router = ip("neigh", "show", "10.1.0.1").split("lladdr ")[1].split()[0]
router = bytes.fromhex(router.replace(":", ""))
# Nothing but what is routed to it: no router solicitations.
ip("link", "set", "slow", "addrgenmode", "none")
ip("link", "set", "slow", "up")
ip("route", "replace", "10.0.0.0/8", "dev", "slow", "src", "10.1.0.254")
ip("-6", "route", "replace", "2001:db8::/32", "dev", "slow", "src", "2001:db8:1::fe")
ahead = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
if os.fork():
    sys.exit()
waiting = collections.deque()
while True:
    left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    if select.select([tun], [], [], left)[0]:
        waiting.append((time.monotonic() + delay, os.read(tun, 65535)))
    while waiting and waiting[0][0] <= time.monotonic():
        packet = waiting.popleft()[1]
        kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
        ahead.sendto(packet, ("ahead", kind, 0, 0, router))
