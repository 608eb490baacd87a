#!/usr/bin/env python3
"""Runs the program against a registry on which one thing goes wrong at a time, and checks that what it says is true.

Two images with three tags each are published; all six tags exist already. A proxy in front of the registry breaks the
requests of one target, once or always. Afterwards every tag in the registry is compared with the exit status, the
outputs, the summary, the log and the message of the run. Whether a sentence names the right cause is for people to
read: `--out` keeps everything, and the errors and warnings of each case are printed.

    scripts/faults.py table      every fault on every target
    scripts/faults.py kills      SIGKILL at a random moment, then the post stage
    scripts/faults.py interrupts SIGINT at a random moment

    --binary PATH --socket PATH --registry HOST:PORT [--jobs N] [--count N] [--only WORDS] [--out DIRECTORY]
"""

import argparse
import asyncio
import collections
import contextlib
import hashlib
import http
import itertools
import json
import os
import pathlib
import random
import re
import secrets
import signal
import socket
import struct
import sys
import tempfile
import time

SHA = "0123456789abcdef0123456789abcdef01234567"
TAGS = ["main", "latest", "sha-0123456"]
IMAGES = ["web", "docs"]
OTHER = "sha256:" + hashlib.sha256(b"another image").hexdigest()
COMPOSE = "services:\n  web: {build: {context: ., dockerfile: W}}\n  docs: {build: {context: ., dockerfile: D}}\n"
FAULTS = ["reset", "lost", "500", "502", "503", "429", "429-after", "stall", "truncated", "wrong-digest", "wrong-bytes",
          "401", "401-login", "403"]
TARGETS = ["base-tag", "base-manifest", "base-layer", "upload", "manifest", "tag", "read-back", "survey", "restore-put",
           "restore-get"]
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


# HTTP, as little of it as a proxy needs

class Message:
    """A request or an answer: its first line, its headers in order, its body."""

    def __init__(self, line, headers, body=b""):
        self.line, self.headers, self.body = line, headers, body

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name), None)

    def without(self, *names):
        return Message(self.line, [one for one in self.headers if one[0].lower() not in names], self.body)

    def head(self, length):
        headers = self.without("content-length", "transfer-encoding", "connection").headers
        lines = [self.line, *(f"{key}: {value}" for key, value in headers), f"Content-Length: {length}", "", ""]
        return "\r\n".join(lines).encode()


class NotPlain(Exception):
    """Somebody tries TLS."""


async def read_message(reader, is_answer_to=None):
    """The next message; None at the end of the stream."""
    try:
        first = await reader.readexactly(1)
        if not first.isalpha():
            raise NotPlain
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *rest = head.split("\r\n")
    message = Message(line, [tuple(part.split(": ", 1)) for part in rest if ": " in part])
    if is_answer_to == "HEAD":
        return message
    if (message.header("transfer-encoding") or "").lower() == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            message.body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    elif length := message.header("content-length"):
        message.body = await reader.readexactly(int(length))
    return message


async def call(host, method, path, body=b"", headers=()):
    """One request to the registry. Answers its status, its headers and its body."""
    reader, writer = await asyncio.open_connection(*host.split(":"), limit=1 << 20)
    request = Message(f"{method} {path} HTTP/1.1", [("Host", host), ("Connection", "close"), *headers], body)
    writer.write(request.head(len(body)) + body)
    answer = await read_message(reader, method)
    writer.close()
    return answer


def status(answer):
    return int(answer.line.split()[1])


class Server:
    """Answers requests on a port of its own until it is closed."""

    async def start(self, address):
        self.tasks = set()
        self.server = await asyncio.start_server(self.connection, address, 0, limit=1 << 20)
        self.host = "%s:%d" % self.server.sockets[0].getsockname()[:2]
        return self

    async def connection(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        writer.has_left = reader.at_eof
        try:
            while request := await read_message(reader):
                if not await self.answer(request, writer):
                    break
                await writer.drain()
        except NotPlain:
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    async def close(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()


# What goes wrong

class Request:
    def __init__(self, message):
        self.method, url, _ = message.line.split()
        self.path = url.split("?")[0]
        self.reference = self.path.rsplit("/", 1)[-1]
        self.is_manifest = "/manifests/" in self.path
        self.of = next((name for name in [*IMAGES, "base"] if f"/{name}/" in self.path), "")
        self.puts_tag = self.method == "PUT" and self.is_manifest and not self.reference.startswith("sha256:")
        self.reads = self.method in ("GET", "HEAD")


def hits(target, request, before, facts):
    """Whether the fault of this target concerns a request. `before` are the requests until then."""
    of_web = request.of == "web"
    has_put = any(one.puts_tag and one.of == "web" and one.reference == request.reference for one in before)
    if target == "base-tag":
        return request.of == "base" and request.is_manifest and request.reference == "1"
    if target == "base-manifest":
        return request.of == "base" and request.is_manifest and request.reference.startswith("sha256:")
    if target == "base-layer":
        return request.of == "base" and request.reference == facts["layer"]
    if target == "upload":
        return of_web and "/blobs/uploads/" in request.path
    if target == "manifest":
        # An engine with the classic store puts the first tag together with the image.
        own = request.reference == "main" if facts["classic"] else request.reference.startswith("sha256:")
        return of_web and request.method == "PUT" and request.is_manifest and own and not (facts["classic"] and has_put)
    if target == "tag":
        return of_web and request.puts_tag and request.reference == "latest"
    if target == "read-back":
        return of_web and request.is_manifest and request.reads and request.reference in TAGS and has_put
    if target == "survey":
        return of_web and request.is_manifest and request.reads and request.reference in TAGS and not any(
            one.puts_tag for one in before)
    if target == "restore-put":
        return of_web and request.puts_tag and request.reference == "main" and has_put
    if target == "restore-get":
        put = any(one.puts_tag for one in before)
        return of_web and request.is_manifest and request.reads and request.reference == facts["old"]["web"] and put
    return False


class Proxy(Server):
    """In front of the registry; keeps the header Host, which the registry puts into the addresses that it sends."""

    def __init__(self, registry, target, fault, when, facts, slow=0.0):
        self.registry, self.target, self.fault, self.when, self.facts = registry, target, fault, when, facts
        self.seen, self.hit, self.slow, self.moved = [], 0, slow, asyncio.Queue()

    async def answer(self, message, writer):
        request = Request(message)
        broken = hits(self.target, request, self.seen, self.facts) and (self.when == "always" or self.hit == 0)
        if self.fault == "401-login" and message.header("authorization") and self.when == "once":
            broken = False
        self.seen.append(request)
        if request.puts_tag and self.target.startswith("restore") and request.of == "docs" and (
                request.reference == "latest"):
            return self.refuse(writer, 403)
        if not broken:
            if request.puts_tag and self.slow:
                await asyncio.sleep(random.random() * self.slow)
                if writer.has_left():
                    return False
            answer = await self.forward(message, request)
            if request.puts_tag:
                self.moved.put_nowait(request)
                if self.target == "read-back":
                    answer = answer.without("docker-content-digest")
            return self.send(writer, answer, request)
        self.hit += 1
        return await getattr(self, "do_" + self.fault.replace("-", "_"), self.do_status)(message, request, writer)

    async def forward(self, message, request):
        reader, writer = await asyncio.open_connection(*self.registry.split(":"), limit=1 << 20)
        out = message.without("connection", "authorization")
        out.headers.append(("Connection", "close"))
        writer.write(out.head(len(out.body)).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1) + out.body)
        answer = await read_message(reader, request.method)
        writer.close()
        return answer

    def send(self, writer, answer, request):
        length = answer.header("content-length") if request.method == "HEAD" else len(answer.body)
        writer.write(answer.head(length or 0) + (b"" if request.method == "HEAD" else answer.body))
        return True

    def refuse(self, writer, code, *headers):
        words = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}.get(code, "UNAVAILABLE")
        body = json.dumps({"errors": [{"code": words, "message": "as the table wants"}]}).encode()
        answer = Message(f"HTTP/1.1 {code} {http.HTTPStatus(code).phrase}", [("Content-Type", "application/json"), *headers], body)
        writer.write(answer.head(len(body)) + body)
        return True

    async def do_status(self, message, request, writer):
        return self.refuse(writer, int(self.fault))

    async def do_429_after(self, message, request, writer):
        return self.refuse(writer, 429, ("Retry-After", "2"))

    async def do_401(self, message, request, writer):
        return self.refuse(writer, 401, ("WWW-Authenticate", 'Basic realm="table"'))

    do_401_login = do_401

    async def do_reset(self, message, request, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False

    async def do_lost(self, message, request, writer):
        await self.forward(message, request)
        return await self.do_reset(message, request, writer)

    async def do_stall(self, message, request, writer):
        await asyncio.sleep(3600)

    async def do_truncated(self, message, request, writer):
        answer = await self.forward(message, request)
        head = answer.head(len(answer.body))
        writer.write(head + answer.body[:len(answer.body) // 2] if answer.body else head[:len(head) // 2])
        await writer.drain()
        return False

    async def do_wrong_digest(self, message, request, writer):
        answer = (await self.forward(message, request)).without("docker-content-digest")
        answer.headers.append(("Docker-Content-Digest", OTHER))
        return self.send(writer, answer, request)

    async def do_wrong_bytes(self, message, request, writer):
        def corrupt(body):
            return body[:-1] + bytes([body[-1] ^ 1]) if body else body
        if message.body:
            message.body = corrupt(message.body)
        answer = await self.forward(message, request)
        if request.method == "GET":
            answer.body = corrupt(answer.body)
        return self.send(writer, answer, request)


class Chat(Server):
    """A Discord webhook: keeps the message as it was last."""
    message, edits = None, 0

    async def answer(self, request, writer):
        if request.body:
            self.message = json.loads(request.body)
            self.edits += 1
        body = json.dumps({"id": "1330000000000000009", "channel_id": "1330000000000000002", "type": 0,
                           "webhook_id": "1330000000000000001", "timestamp": "2025-01-01T00:00:00+00:00",
                           "edited_timestamp": None, "content": "", "embeds": (self.message or {}).get("embeds", []),
                           "author": {"id": "1330000000000000001", "username": "x", "bot": True}}).encode()
        answer = Message("HTTP/1.1 200 OK", [("Content-Type", "application/json")], body)
        writer.write(answer.head(len(body)) + body)
        return True


# The registry and its images

async def upload(registry, repository, blob):
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    begun = await call(registry, "POST", f"/v2/{repository}/blobs/uploads/")
    place = begun.header("location").split(registry, 1)[-1]
    kind = [("Content-Type", "application/octet-stream")]
    done = await call(registry, "PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", blob, kind)
    assert status(done) == 201, done.line
    return {"digest": digest, "size": len(blob)}


async def image(registry, repository, tags, files):
    """Pushes an image with one layer. Answers its digest and its layer's."""
    import gzip, io, tarfile
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    layer = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
             **await upload(registry, repository, gzip.compress(raw.getvalue()))}
    diff = "sha256:" + hashlib.sha256(raw.getvalue()).hexdigest()
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff]},
              "history": [{"created_by": "table"}]}
    config = {"mediaType": "application/vnd.docker.container.image.v1+json",
              **await upload(registry, repository, json.dumps(config).encode())}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}).encode()
    for tag in tags:
        done = await call(registry, "PUT", f"/v2/{repository}/manifests/{tag}", manifest, [("Content-Type", MANIFEST)])
        assert status(done) == 201, done.line
    return "sha256:" + hashlib.sha256(manifest).hexdigest(), layer["digest"]


async def pointed(registry, repository, tag):
    accept = [("Accept", f"{MANIFEST}, application/vnd.oci.image.manifest.v1+json, "
                         "application/vnd.oci.image.index.v1+json")]
    answer = await call(registry, "HEAD", f"/v2/{repository}/manifests/{tag}", headers=accept)
    return answer.header("docker-content-digest") if status(answer) == 200 else None


# A run

class Run:
    def __init__(self, options, name, inputs=()):
        self.options, self.name, self.inputs = options, name, dict(inputs)
        self.repository = f"ci/{secrets.token_hex(6)}"
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="bd-fault-"))

    async def prepare(self, target, fault, when, slow=0.0):
        registry, facts = self.options.registry, {"old": {}, "layer": "", "classic": self.options.classic}
        for one in IMAGES:
            old, _ = await image(registry, f"{self.repository}/{one}", TAGS, {"old": secrets.token_bytes(50)})
            facts["old"][one] = old
        self.proxy = await Proxy(registry, target, fault, when, facts, slow).start(registry.split(":")[0])
        self.chat = await Chat().start("127.0.0.1")
        base = "scratch"
        if target.startswith("base"):
            _, facts["layer"] = await image(registry, f"{self.repository}/base", ["1"], {"b": secrets.token_bytes(5000)})
            base = f"{self.proxy.host}/{self.repository}/base:1"
        self.facts, work = facts, self.root / "work"
        work.mkdir()
        (work / "compose.yaml").write_text(COMPOSE)
        for file, one in [("W", "web"), ("D", "docs")]:
            (work / file).write_text(f"# {one}\n\nFROM {base}\nCOPY stamp /{one}\n")
        (work / "stamp").write_bytes(secrets.token_bytes(2000))
        (self.root / "event.json").write_text(json.dumps({"repository": {"default_branch": "main"}}))

    async def start(self, command, state=()):
        files = {name: self.root / f"{command}-{name.lower()}" for name in ["OUTPUT", "STATE", "STEP_SUMMARY", "ENV", "PATH"]}
        for path in files.values():
            path.touch()
        inputs = {"registry": self.proxy.host, "timeout": "6m", "github-token": "",
                  "discord-webhook": f"http://{self.chat.host}/api/v10/webhooks/1330000000000000001/{'t' * 68}", **self.inputs}
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root), "DOCKER_HOST": f"unix://{self.options.socket}",
               "GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_WORKSPACE": str(self.root / "work"), "GITHUB_SHA": SHA,
               "GITHUB_REPOSITORY": self.repository, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main",
               "GITHUB_ACTOR": "octocat", "GITHUB_RUN_ID": "1", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_WORKFLOW": "build",
               "GITHUB_SERVER_URL": "https://github.com", "GITHUB_EVENT_PATH": str(self.root / "event.json"),
               "RUNNER_TEMP": str(self.root), "INPUT_JOB-STATUS": "success",
               **{f"GITHUB_{name}": str(path) for name, path in files.items()},
               **{f"INPUT_{name.upper()}": value for name, value in inputs.items()},
               **{f"STATE_{name}": value for name, value in dict(state).items()}}
        log = open(self.root / f"{command}-log", "wb")
        self.began = time.monotonic()
        return await asyncio.create_subprocess_exec(self.options.binary, command, cwd=self.root / "work", env=env,
                                                    stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log)

    async def report(self, process, command="run"):
        exit_status = await process.wait()
        read = lambda name: (self.root / f"{command}-{name}").read_text(errors="replace")
        message = "\n".join(texts(self.chat.message)).replace("\\", "")
        return {"name": self.name, "exit": exit_status, "seconds": round(time.monotonic() - self.began, 1),
                "outputs": assignments(read("output")), "state": assignments(read("state")), "summary": read("step_summary"),
                "log": read("log"), "message": message, "color": ((self.chat.message or {}).get("embeds") or [{}])[0].get("color"), "host": self.proxy.host, "repository": self.repository,
                "old": self.facts["old"], "hit": self.proxy.hit, "after": await self.tags(),
                "requests": [f"{one.method} {one.path}" for one in self.proxy.seen]}

    async def tags(self):
        return {f"{one}:{tag}": await pointed(self.options.registry, f"{self.repository}/{one}", tag)
                for one in IMAGES for tag in TAGS}

    async def close(self):
        await self.proxy.close()
        await self.chat.close()


def texts(value):
    """All texts in a JSON value."""
    if isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


def assignments(text):
    """`name=value` and `name<<END`, as the runner reads them."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        if match := re.match(r"([^=<]+)<<(.*)", line):
            found[match[1]] = "\n".join(itertools.takewhile(lambda one: one != match[2], lines))
        elif "=" in line:
            name, value = line.split("=", 1)
            found[name] = value
    return found


# Whether it is true

STATES = ["moved", "already up to date", "restored", "restore failed", "not moved", "kept at a newer image", "unknown"]


def is_true(state, tag, before, after, new):
    """Whether a tag may be said to be in this state."""
    if state == "unknown":
        return True
    if state in ("moved", "already up to date", "restore failed"):
        return after != before and (new is None or after == new)
    return after == before


def plain(text):
    """A text without what Markdown and the runner put into it."""
    text = re.sub(r"&#(\d+);", lambda match: chr(int(match[1])), text or "")
    return re.sub(r"[`*\\​⁠]|</?code>", "", text.replace("%0A", "\n").replace("%25", "%"))


def said(report, text):
    """What a text says of tags, as `state: reference, reference`."""
    prefix = f"{report['host']}/{report['repository']}/"
    for match in re.finditer(rf"\b({'|'.join(STATES)}): ((?:{re.escape(prefix)}[\w:.-]+(?:, )?)+)", plain(text)):
        for reference in re.split(", ?| ", match[2]):
            if reference:
                yield match[1], reference.removeprefix(prefix)


def untrue(report):
    """What the run says that is not so."""
    wrong, outputs, after = [], report["outputs"], report["after"]
    prefix = f"{report['host']}/{report['repository']}/"
    listed = [line.removeprefix(prefix) for line in outputs.get("tags", "").splitlines()]
    images = {one["name"]: one for one in json.loads(outputs.get("images") or "[]")}
    before = {tag: report["old"][tag.split(":")[0]] for tag in after}
    digest = lambda tag: images.get(tag.split(":")[0], {}).get("digest") or None
    result = {0: "success", 1: "failure", 130: "cancelled", 143: "cancelled"}.get(report["exit"])
    if result is None or outputs.get("result") != result:
        wrong.append(f"exit status {report['exit']}, result {outputs.get('result')}")
    rows = {}
    for row in re.finditer(r"^\| (\S+) \| ([\w ]+) \|$", plain(report["summary"]), re.M):
        rows[row[1].removeprefix(prefix)] = row[2]
    for tag, now in after.items():
        name = tag.split(":")[0]
        if tag in listed and (now == before[tag] or (digest(tag) and now != digest(tag))):
            wrong.append(f"outputs: {tag} is listed, points to {now}")
        if now != before[tag] and tag not in listed and rows.get(tag) not in ("unknown", "restore failed"):
            wrong.append(f"outputs: {tag} moved and is not listed ({rows.get(tag)})")
        if report["exit"] == 0 and now == before[tag]:
            wrong.append(f"success, but {tag} did not move")
        if images.get(name, {}).get("pushed") and now == before[tag]:
            wrong.append(f"images: {name} is pushed, {tag} did not move")
    for where, states in [("summary", rows.items()),
                          *((name, [(tag, state) for state, tag in said(report, report[name])]) for name in ("log", "message"))]:
        for tag, state in states:
            if tag in after and not is_true(state, tag, before[tag], after[tag], digest(tag)):
                wrong.append(f"{where}: {tag} is said to be {state}")
    return wrong


def sentences(report):
    """Errors, warnings and notices, with what differs from run to run taken out."""
    for line in report["log"].splitlines():
        if re.match(r"::(error|warning|notice)", line) or "attempt" in line or "no progress" in line:
            if "sent over http, unencrypted" in line:
                continue
            line = line.replace(report["host"], "HOST").replace(report["repository"], "O/R")
            yield re.sub(r"[0-9a-f]{64}", "…", plain(line))


# The three kinds of runs

async def case(options, target, fault, when):
    login = {"username": "u", "password": "p4ssw0rd-of-the-table"} if fault == "401-login" else {}
    limit = {"timeout": "100s"} if fault == "stall" else {}
    run = Run(options, f"{target} {fault} {when}", {**login, **limit, **options.inputs})
    await run.prepare(target, fault, when)
    report = await run.report(await run.start("run"))
    await run.close()
    return report


async def interrupt(options, number):
    target, fault = random.choice([("", ""), ("", ""), ("tag", "stall"), ("restore-put", "stall"), ("restore-get", "stall"),
                                   ("read-back", "stall"), ("upload", "stall"), ("survey", "stall"), ("manifest", "503")])
    run = Run(options, f"interrupt {number} {target} {fault}", options.inputs)
    await run.prepare(target, fault, "always", slow=0.6)
    process = await run.start("run")
    moved = await wait_for_tags(run, process)
    sent = time.monotonic()
    send(process, signal.SIGINT)
    report = await run.report(process)
    report["after_signal"] = round(time.monotonic() - sent, 1)
    report["name"] += f" after {moved} tags, {report['after_signal']} s"
    report["late"] = report["after_signal"] > 5
    await run.close()
    return report


def send(process, number):
    """Sends a signal. `Process.send_signal` would take the exit status of a process that has just ended."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def wait_for_tags(run, process):
    """Waits until a random number of tags has moved, or for a random time if that is none."""
    wanted, deadline = random.choice([0, 0, 1, 2, 3, 4, 5, 6]), time.monotonic() + 12
    if wanted == 0:
        await asyncio.sleep(random.random() * 2)
        return 0
    for moved in range(wanted):
        while run.proxy.moved.empty() and process.returncode is None and time.monotonic() < deadline:
            await asyncio.sleep(0.002)
        if run.proxy.moved.empty():
            return moved
        run.proxy.moved.get_nowait()
    await asyncio.sleep(random.random() * 0.05)
    return wanted


async def kill(options, number):
    after = random.choice([("", ""), ("", ""), ("", ""), ("restore-put", "500"), ("restore-put", "403"), ("restore-put", "stall"),
                           ("restore-put", "reset"), ("restore-get", "500"), ("read-back", "500"), ("read-back", "403")])
    run = Run(options, f"kill {number}", options.inputs)
    await run.prepare("", "", "always", slow=0.6)
    process = await run.start("run")
    moved = await wait_for_tags(run, process)
    send(process, signal.SIGKILL)
    main = await run.report(process)
    run.proxy.target, run.proxy.fault, middle = *after, main["after"]
    report = await run.report(await run.start("post", main["state"]), "post")
    report.update(main=main, name=f"kill {number} after {moved} tags, then {after[0]} {after[1]}", middle=middle)
    await run.close()
    return report


def untrue_after_kill(report):
    """What the post stage says that is not so, and tags that it left half moved without a word."""
    if report["main"]["outputs"].get("result"):
        return untrue({**report["main"], "exit": 0})
    wrong, after, states = [], report["after"], {}
    if report["exit"] != 0:
        wrong.append(f"exit status {report['exit']}")
    before = {tag: report["old"][tag.split(":")[0]] for tag in after}
    for where in ("log", "message"):
        for state, tag in said(report, report[where]):
            states[tag] = state
            if tag in after and not is_true(state, tag, before[tag], after[tag], None):
                wrong.append(f"{where}: {tag} is said to be {state}")
    moved = [tag for tag in after if after[tag] != before[tag]]
    if 0 < len(moved) < len(after) and not all(tag in states for tag in moved):
        wrong.append(f"half moved without a word: {moved}")
    return wrong


def selected(options):
    if options.what == "table":
        names = itertools.product(TARGETS, FAULTS, ["once", "always"])
        words = options.only.split()
        return [(case, name) for name in names if all(word in name or word in "-".join(name) for word in words)]
    return [({"kills": kill, "interrupts": interrupt}[options.what], (number,)) for number in range(options.count)]


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["table", "kills", "interrupts"])
    for name in ["--binary", "--socket", "--registry"]:
        parser.add_argument(name, required=True)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--classic", action="store_true", help="the engine has the classic image store")
    parser.add_argument("--count", type=int, default=36)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--with", dest="inputs", action="append", default=[], help="an input, as name=value")
    options = parser.parse_args()
    options.inputs = dict(one.split("=", 1) for one in options.inputs)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    judge = untrue_after_kill if options.what == "kills" else untrue
    turn, counts = asyncio.Semaphore(options.jobs), collections.Counter()

    async def one(make, arguments):
        async with turn:
            report = await make(options, *arguments)
        report["untrue"] = judge(report)
        counts.update(cases=1, untrue=bool(report["untrue"]), late=bool(report.get("late")),
                      missed=options.what == "table" and report["hit"] == 0)
        mark = "UNTRUE" if report["untrue"] else "late" if report.get("late") else "ok"
        lines = [f"{mark} {report['name']}: exit {report['exit']} in {report['seconds']} s, {report['hit']} hits"]
        lines += [f"    ! {line}" for line in report["untrue"]] + [f"    {line}" for line in sentences(report)]
        print("\n".join(lines), flush=True)
        if options.out:
            (options.out / (report["name"].replace(" ", "_") + ".json")).write_text(json.dumps(report, indent=1))

    await asyncio.gather(*(one(*made) for made in selected(options)))
    print(dict(counts))
    return 1 if counts["untrue"] or counts["late"] else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
