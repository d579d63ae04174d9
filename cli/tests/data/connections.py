"""Serves TCP on a port, as a target, and keeps the count of what came of it in a file.

    connections.py FILE PORT

The file has two numbers: connections that were completed on this machine (RFC 4022,
tcpPassiveOpens), and octets that clients have sent.
"""

import os
import socket
import sys
import threading
import time

path, port = sys.argv[1], int(sys.argv[2])
octets = 0


def passive_opens():
    with open("/proc/net/snmp", encoding="ascii") as file:
        names, numbers = [line.split() for line in file if line.startswith("Tcp:")]
    return int(numbers[names.index("PassiveOpens")])


def serve(server):
    global octets
    while True:
        connection, _ = server.accept()
        try:
            octets += len(connection.recv(65536))
        except OSError:
            pass  # Reset.
        connection.close()


server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
if os.fork():
    os._exit(0)
threading.Thread(target=serve, args=[server], daemon=True).start()
end = time.monotonic() + 60
while time.monotonic() < end:
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(f"{passive_opens()} {octets}\n")
    os.replace(path + ".new", path)
    time.sleep(0.02)
