"""A DNS server of the tests, as bad as it is told to be, while a command runs: name_server.py ADDRESS PORT MANNER COMMAND..."""

import ipaddress
import socket
import struct
import subprocess
import sys
import threading
import time

address, port, manner, command = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
server = socket.socket(family, socket.SOCK_DGRAM)
server.bind((address, port))
stranger = socket.socket(family, socket.SOCK_DGRAM)


def texts_of(name):
    """What is true: one AS for everything, whose owner has a sense of humour."""
    labels = name.split(".")
    if labels[0].startswith("AS"):
        return [f"{labels[0][2:]} | ZZ | test | 2020-01-01 | EVIL\x1b[2J\u202eNET\nSecond, ZZ"]
    nibbles = "".join(reversed(labels[0:32]))
    is_v6 = labels[32:33] == ["origin6"]
    prefix = f"{ipaddress.IPv6Address(int(nibbles, 16))}/128" if is_v6 else ".".join(reversed(labels[0:4])) + "/32"
    return ["64511 | 0.0.0.0/0 | ZZ | wide", f"64496 64497 | {prefix} | ZZ | test", "64510 | 192.0.2.0/24 | ZZ | another's"]


def message(ident, question, texts, pointer=0xC00C, flags=0x8180):
    records = b""
    for text in texts:
        octets = text.encode()
        strings = b"".join(bytes([len(part)]) + part for part in (octets[at : at + 255] for at in range(0, len(octets), 255)))
        records += struct.pack(">HHHIH", pointer, 16, 1, 60, len(strings)) + strings
    return struct.pack(">HHHHHH", ident, flags, 1, len(texts), 0, 0) + question + records


def answer(query, client):
    ident, question = struct.unpack(">H", query[:2])[0], query[12:]
    name, at = [], 0
    while question[at]:
        name.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    name = ".".join(name)
    lie = ["64666 | 0.0.0.0/0 | ZZ | lie"]
    if manner == "tell":
        print(name, file=sys.stderr)
    if manner == "slow":
        time.sleep(5)
    if manner == "lies":
        stranger.sendto(message(ident, question, lie), client)
        server.sendto(b"", client)
        server.sendto(bytes(range(256)), client)
        server.sendto(message(ident ^ 1, question, lie), client)
        server.sendto(message(ident, b"\x01x\x00" + question[-4:], lie), client)
        server.sendto(message(ident, question, lie, flags=0x0100), client)
        # A name that points to itself, one that points past the end, and a record that is cut.
        at = 0xC000 + 12 + len(question)
        server.sendto(message(ident, question, lie, pointer=at), client)
        server.sendto(message(ident, question, lie, pointer=0xFFFF), client)
        server.sendto(message(ident, question, lie)[:-3], client)
        server.sendto(message(ident, question, ["64666 | 0.0.0.0/0 | " + "x" * 60000]), client)
    if manner in ("lies", "slow", "true"):
        server.sendto(message(ident, question, texts_of(name)), client)
    if manner == "nonsense":
        number = name.split(".")[0]
        nonsense = ["", "|", "|||||", "0 | 0.0.0.0/0", "+1 | 0.0.0.0/0", "4294967296 | 0.0.0.0/0", "64500 | 0.0.0.0/33", "\x1b[2J"]
        nonsense += ["64500 | ::/0", "64500 | 10.0.0.0", "1 " * 50 + "| 0.0.0.0/0", f"{number} | a | b | c | "]
        server.sendto(message(ident, question, nonsense), client)


def serve():
    while True:
        query, client = server.recvfrom(4096)
        threading.Thread(target=answer, args=(query, client), daemon=True).start()


threading.Thread(target=serve, daemon=True).start()
sys.exit(subprocess.run(command).returncode)
