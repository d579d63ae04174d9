"""A name server that fails for a time while a command runs: failing_name_server.py MANNER START SECONDS COMMAND...

Every name has the address 10.6.0.1, but for bad.example, which always fails, and none.example, which doesn't exist."""

import socket
import struct
import subprocess
import sys
import threading
import time

manner, start, seconds, command = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5
begun = time.monotonic()
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))


def reply(query, code, answer=b""):
    end = query.index(0, 12) + 5
    counts = struct.pack(">HHHH", 1, 1 if answer else 0, 0, 0)
    return query[:2] + struct.pack(">H", 0x8180 | code) + counts + query[12:end] + answer


def serve():
    while True:
        query, client = server.recvfrom(4096)
        end = query.index(0, 12)
        label = query[13 : 13 + query[12]]
        is_address = query[end + 1 : end + 3] == b"\0\1"
        if label in (b"bad", b"none"):
            server.sendto(reply(query, SERVFAIL if label == b"bad" else NXDOMAIN), client)
        elif start <= time.monotonic() - begun < start + seconds:
            if manner != "silent":
                server.sendto(reply(query, SERVFAIL if manner == "servfail" else REFUSED), client)
        else:
            address = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([10, 6, 0, 1])
            server.sendto(reply(query, 0, address if is_address else b""), client)


threading.Thread(target=serve, daemon=True).start()
sys.exit(subprocess.run(command).returncode)
