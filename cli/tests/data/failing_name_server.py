"""A name server that fails for a time while a command runs: failing_name_server.py MANNER START SECONDS COMMAND...

Names have the address 10.6.0.1 (h1.example), 2001:db8:6::1 (s1.example) or both (d1.example). bad.example and bad1.example
always fail, none.example doesn't exist. The manner is what questions get meanwhile: servfail, refused, silent; or servfail-1 or
servfail-28, where those for the one type of address fail (1 is A, 28 AAAA) and the others are answered."""

import socket
import struct
import subprocess
import sys
import threading
import time

manner, start, seconds, command = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
how = manner.split("-")[0]
A, AAAA = 1, 28
ADDRESSES = {A: socket.inet_pton(socket.AF_INET, "10.6.0.1"), AAAA: socket.inet_pton(socket.AF_INET6, "2001:db8:6::1")}
HOLDERS = {A: b"hd", AAAA: b"sd"}
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
        kind = int.from_bytes(query[end + 1 : end + 3], "big")
        is_failing = start <= time.monotonic() - begun < start + seconds and manner.endswith((how, f"-{kind}"))
        if label.startswith(b"bad") or label == b"none":
            server.sendto(reply(query, NXDOMAIN if label == b"none" else SERVFAIL), client)
        elif is_failing:
            if how != "silent":
                server.sendto(reply(query, REFUSED if how == "refused" else SERVFAIL), client)
        else:
            address = ADDRESSES.get(kind) if label[:1] in HOLDERS.get(kind, b"") else None
            answer = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(address)) + address if address else b""
            server.sendto(reply(query, 0, answer), client)


threading.Thread(target=serve, daemon=True).start()
sys.exit(subprocess.run(command).returncode)
