"""The lab's token server: what ghcr.io and Docker Hub put before their registries, small enough to read.

Speaks both dialects of the distribution token specification (GET, and the OAuth2 POST), grants each scope by itself,
takes `refresh-` and a password for an identity token, answers a bad password with GHCR's `denied`, and signs with a key that the registry trusts.

usage: LAB_ACCOUNTS="name:password:write|read ..." token_server.py ADDRESS PORT DIR   (DIR holds signer.key, signer.pem)

A writer may push everywhere but below `foreign/`, which belongs to somebody else; anybody may pull `public/...`.
"""

import base64
import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ADDRESS, PORT, DIR = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ACCOUNTS = {
    name: (password, rights)
    for name, password, rights in (entry.split(":") for entry in os.environ["LAB_ACCOUNTS"].split())
}
# Seconds that a token holds; GHCR's is short as well.
LIFETIME = int(os.environ.get("LAB_TOKEN_LIFETIME", "300"))
with open(f"{DIR}/signer.pem", encoding="ascii") as pem:
    CERTIFICATE = "".join(line.strip() for line in pem if not line.startswith("-----"))


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def sign(claims):
    """A JWT (RS256) whose certificate travels in `x5c`."""
    header = {"typ": "JWT", "alg": "RS256", "x5c": [CERTIFICATE]}
    body = b".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    command = ["openssl", "dgst", "-sha256", "-sign", f"{DIR}/signer.key"]
    signature = subprocess.run(command, input=body, capture_output=True, check=True).stdout
    return (body + b"." + encode(signature)).decode()


def granted(user, scope):
    """The part of `repository:NAME:ACTION,...` that this user (None: anonymous) gets."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    owner = name.split("/")[0]
    rights = ACCOUNTS[user][1] if user else None
    allowed = set()
    if kind == "repository" and (user or owner == "public"):
        allowed.add("pull")
    if kind == "repository" and rights == "write" and owner != "foreign":
        allowed |= {"push", "delete"}
    return {"type": kind, "name": name, "actions": [a for a in actions.split(",") if a in allowed]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        user, password = None, None
        kind, _, credentials = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            user, _, password = base64.b64decode(credentials).decode().partition(":")
            if not user:
                # An identity token is for POST; registries that give such tokens say so like this, as Azure's does.
                return self.reply(401, {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]})
        self.answer(user, password, parse_qs(urlsplit(self.path).query))

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        form = parse_qs(self.rfile.read(length).decode())
        if refresh := form.get("refresh_token", [None])[0]:
            # An identity token stands for user and password.
            names = [name for name, (password, _) in ACCOUNTS.items() if refresh == f"refresh-{password}"]
            return self.answer(names[0] if names else "nobody", ACCOUNTS[names[0]][0] if names else "", form)
        self.answer(form.get("username", [None])[0], form.get("password", [None])[0], form)

    def answer(self, user, password, query):
        if user is not None and ACCOUNTS.get(user, (None,))[0] != password:
            return self.reply(403, {"errors": [{"code": "DENIED", "message": "denied"}]})
        scopes = [scope for value in query.get("scope", []) for scope in value.split()]
        now = int(time.time())
        token = sign({
            "iss": "build-deploy-lab",
            "sub": user or "",
            "aud": query.get("service", [""])[0],
            "exp": now + LIFETIME,
            # The registry compares with its own clock at once.
            "nbf": now - 10,
            "iat": now,
            "jti": os.urandom(8).hex(),
            "access": [granted(user, scope) for scope in scopes],
        })
        self.reply(200, {"token": token, "access_token": token, "expires_in": LIFETIME, "scope": " ".join(scopes)})

    def reply(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        # The query names user and scopes, never the password.
        sys.stderr.write(f"{self.command} {self.path} {args[1] if len(args) > 1 else ''}\n")


ThreadingHTTPServer((ADDRESS, PORT), Handler).serve_forever()
