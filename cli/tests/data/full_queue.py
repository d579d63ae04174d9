"""Serves TCP on a port, but never accepts: full_queue.py PORT

Connections that it makes itself have filled its queue when it returns."""
import os
import socket
import sys
import time

port = int(sys.argv[1])
server = socket.socket(socket.AF_INET6)
server.bind(("::", port))
server.listen(0)
# A queue of no places has one; the next connection never comes about.
clients = [socket.socket(socket.AF_INET6) for _ in range(2)]
clients[0].connect(("::1", port))
clients[1].settimeout(0.1)
try:
    clients[1].connect(("::1", port))
    sys.exit("the queue has more places")
except TimeoutError:
    pass
if not os.fork():
    time.sleep(60)
