"""What stands before the lab's registries under names of the real world: TLS, and what their clouds do in front of them.

- ghcr.io: /token is its token server; the rest is the registry.
- *.dkr.ecr.*.amazonaws.com: a repository that Amazon's API (moto) does not have is refused as ECR refuses it.

usage: names_server.py ADDRESS DIR AWS_URL NAME=CA,REGISTRY[,TOKEN_SERVER]...   (DIR holds CA-server.pem, CA-server.key)
"""

import http.client
import json
import ssl
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS, DIR, AWS = sys.argv[1:4]
NAMES = {name: rest.split(",") for name, _, rest in (word.partition("=") for word in sys.argv[4:])}


def context(ca):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(f"{DIR}/{ca}-server.pem", f"{DIR}/{ca}-server.key")
    return made


CONTEXTS = {name: context(parts[0]) for name, parts in NAMES.items()}


def repository_of(path):
    """`a/b` of `/v2/a/b/blobs/...`; None for other paths."""
    for part in ("/blobs/", "/manifests/", "/tags/"):
        if path.startswith("/v2/") and part in path:
            return path[len("/v2/"):].rsplit(part, 1)[0]
    return None


def exists_at_amazon(repository):
    request = urllib.request.Request(
        AWS,
        data=json.dumps({"repositoryNames": [repository]}).encode(),
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories",
            # moto knows service and region from here, and checks no signature.
            "Authorization": "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-west-1/ecr/aws4_request, "
            "SignedHeaders=host, Signature=0",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(json.load(answer)["repositories"])
    except urllib.error.HTTPError:
        return False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def forward(self):
        body = self.body()
        name = self.headers.get("Host", "").split(":")[0]
        if name not in NAMES:
            return self.reply(421, [("Content-Type", "text/plain")], b"no such name")
        backends = NAMES[name][1:]
        repository = repository_of(self.path)
        if ".ecr." in name and repository and self.headers.get("Authorization") and not exists_at_amazon(repository):
            message = f"The repository with name '{repository}' does not exist in the registry with id '{name[:12]}'"
            error = {"errors": [{"code": "NAME_UNKNOWN", "message": message}]}
            return self.reply(404, [("Content-Type", "application/json")], json.dumps(error).encode())
        backend = backends[1] if self.path.startswith("/token") and len(backends) > 1 else backends[0]
        connection = http.client.HTTPConnection(backend, timeout=60)
        hop = ("connection", "transfer-encoding", "content-length")
        # A header may come more than once, as Accept does.
        headers = {key: ", ".join(self.headers.get_all(key)) for key in self.headers if key.lower() not in hop}
        # Addresses in the registry's answers follow these two.
        headers["X-Forwarded-Proto"] = "https"
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        kept = [(key, value) for key, value in answer.getheaders() if key.lower() not in hop]
        self.reply(answer.status, kept, content, answer.getheader("Content-Length"))
        connection.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward

    def reply(self, status, headers, body, length=None):
        self.send_response_only(status)
        for key, value in headers:
            self.send_header(key, value)
        # A HEAD's length is of a body that does not come.
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format, *args):
        sys.stderr.write(f"{self.headers.get('Host') if hasattr(self, 'headers') else ''} {format % args}\n")


def choose(socket, name, _):
    if name in CONTEXTS:
        socket.context = CONTEXTS[name]


class Server(ThreadingHTTPServer):
    """The handshake is done in the connection's own thread: one that never comes must not stop the others."""

    def finish_request(self, request, client_address):
        request.settimeout(60)
        super().finish_request(outer.wrap_socket(request, server_side=True), client_address)

    def handle_error(self, request, client_address):
        sys.stderr.write(f"{client_address}: {sys.exc_info()[1]}\n")


outer = next(iter(CONTEXTS.values()))
outer.sni_callback = choose
Server((ADDRESS, 443), Handler).serve_forever()
