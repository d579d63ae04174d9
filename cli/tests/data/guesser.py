"""Guesses at probes of this machine: sends Time Exceeded about every seq of an ident, in the name of a router.

Calls: guesser.py ROUTER OWN_ADDRESS TARGET IDENT SECONDS. The checksum that it quotes is made up.
"""

import ipaddress
import socket
import struct
import sys
import time

router, own, target = (ipaddress.ip_address(text) for text in sys.argv[1:4])
ident, end = int(sys.argv[4]), time.monotonic() + float(sys.argv[5])
is_v4 = own.version == 4
family = socket.AF_INET if is_v4 else socket.AF_INET6
exceeded, request, number = (11, 8, socket.IPPROTO_ICMP) if is_v4 else (3, 128, socket.IPPROTO_ICMPV6)


def header(source, destination, length):
    ends = source.packed + destination.packed
    if is_v4:
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, number, 0) + ends
    return struct.pack("!IHBB", 0x6000_0000, length, number, 64) + ends


def added(octets):
    return sum(struct.unpack(f"!{len(octets) // 2}H", octets))


quote = header(own, target, 16) + struct.pack("!BBHH", request, 0, 0x1234, ident)
before = struct.pack("!BBHI", exceeded, 0, 0, 0) + quote
pseudo = 0 if is_v4 else added(router.packed + own.packed) + len(before) + 2 + number
base, head = added(before) + pseudo, header(router, own, len(before) + 2)
raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
try:
    while time.monotonic() < end:
        for seq in range(65536):
            total = base + seq
            while total > 0xFFFF:
                total = (total & 0xFFFF) + (total >> 16)
            checksum = struct.pack("!H", total ^ 0xFFFF)
            raw.sendto(head + before[:2] + checksum + before[4:] + struct.pack("!H", seq), (str(own), 0))
except OSError:
    # The network has been taken down.
    pass
