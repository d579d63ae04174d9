"""Delays what the start of a chain sends, by so many seconds: slow_link.py SECONDS

Without it an answer is there before the next probe leaves. Packets go to one end of a veth pair;
from the other they go on to the first router, in their order. It returns when the link is up."""
import collections
import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import time

ETH_P_ALL, SIOCETHTOOL, ETHTOOL_STXCSUM = 3, 0x8946, 0x17


def ip(words):
    return subprocess.check_output(["ip"] + words.split(), text=True)


delay = float(sys.argv[1])
router = ip("neigh show 10.1.0.1").split("lladdr ")[1].split()[0]
router = bytes.fromhex(router.replace(":", ""))
ip("link add slow type veth peer name out")
for end in ("slow", "out"):
    # Nothing but what is routed there: no ARP, no IPv6 of the link's own.
    ip(f"link set {end} addrgenmode none arp off up")
packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
packets.bind(("out", ETH_P_ALL))
# Checksums are complete when a packet leaves: nobody completes them later.
no_offload = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, 0))
request = struct.pack("16sP16x", b"slow", ctypes.addressof(no_offload))
fcntl.ioctl(packets, SIOCETHTOOL, request)
ip("route replace 10.0.0.0/8 dev slow src 10.1.0.254")
ip("-6 route replace 2001:db8::/32 dev slow src 2001:db8:1::fe")
if os.fork():
    sys.exit()
waiting = collections.deque()
while True:
    left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    if select.select([packets], [], [], left)[0]:
        packet, (_, kind, direction, *_) = packets.recvfrom(65535)
        if direction != socket.PACKET_OUTGOING:
            waiting.append((time.monotonic() + delay, packet, kind))
    while waiting and waiting[0][0] <= time.monotonic():
        _, packet, kind = waiting.popleft()
        packets.sendto(packet, ("ahead", kind, 0, 0, router))
