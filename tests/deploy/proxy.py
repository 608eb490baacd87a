"""A proxy that finds the containers with a label by itself, and tries another one if a connection fails.

usage: proxy.py SOCKET LABEL ADDRESS: prints its port.
"""

import http.client
import http.server
import itertools
import json
import socket
import sys
import threading
import time
import urllib.parse

engine, label, address = sys.argv[1:]
upstreams = []
turn = itertools.count()


class Engine(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(engine)


def watch():
    filters = urllib.parse.quote(json.dumps({"label": [label], "status": ["running"]}))
    while True:
        connection = Engine("docker", timeout=5)
        connection.request("GET", "/containers/json?filters=" + filters)
        networks = [one["NetworkSettings"]["Networks"] for one in json.load(connection.getresponse())]
        connection.close()
        upstreams[:] = [network["IPAddress"] for one in networks for network in one.values() if network["IPAddress"]]
        time.sleep(0.1)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = list(upstreams)
        start = next(turn)
        for n in range(len(found)):
            try:
                connection = http.client.HTTPConnection(found[(start + n) % len(found)], 8080, timeout=1)
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read()
                connection.close()
            except (OSError, http.client.HTTPException):
                continue
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_error(502)

    def log_message(self, *_):
        pass


threading.Thread(target=watch, daemon=True).start()
server = http.server.ThreadingHTTPServer((address, 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
