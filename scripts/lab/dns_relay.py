"""Hands DNS questions on to a resolver that listens on the host's loopback only.

The engines' namespaces cannot reach 127.0.0.53 (systemd-resolved) or 127.0.0.11 (a container's resolver), so this
relay answers on the lab's address instead.

usage: dns_relay.py ADDRESS UPSTREAM   (both port 53, UDP and TCP)
"""

import socket
import socketserver
import sys
import threading

ADDRESS, UPSTREAM = sys.argv[1], sys.argv[2]
# Seconds; a resolver's client asks again by itself.
PATIENCE = 10


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        question, replies_from = self.request
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
            upstream.settimeout(PATIENCE)
            try:
                upstream.sendto(question, (UPSTREAM, 53))
                replies_from.sendto(upstream.recv(65535), self.client_address)
            except OSError as error:
                print(f"udp: {error}", file=sys.stderr)


class Stream(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            with socket.create_connection((UPSTREAM, 53), timeout=PATIENCE) as upstream:
                self.request.settimeout(PATIENCE)
                back = threading.Thread(target=pump, args=(upstream, self.request), daemon=True)
                back.start()
                pump(self.request, upstream)
                back.join(PATIENCE)
        except OSError as error:
            print(f"tcp: {error}", file=sys.stderr)


def pump(source, sink):
    try:
        while data := source.recv(65535):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # Either side may leave first.


class Udp(socketserver.ThreadingUDPServer):
    allow_reuse_address = daemon_threads = True


class Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


udp = Udp((ADDRESS, 53), Datagram)
threading.Thread(target=udp.serve_forever, daemon=True).start()
Tcp((ADDRESS, 53), Stream).serve_forever()
