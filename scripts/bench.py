#!/usr/bin/env python3
"""Measures build-deploy against its peers: the same projects, engine and registry, in one run.

The players take turns in random order, so that noise hits all of them; what counts is the ratio of the medians. Nobody starts
before the machine is idle, so that nobody waits for what the engine still does for the player before. Each run is a process
whose wall time and peak memory (resident set, also of its children) are measured. Every player gets
the same project and pushes to repositories of its own. build-deploy adds no attestations unless asked; bake and the actions
do by default, and their users wait for them, so bake is measured with its defaults and without attestations.

The case `step` is a whole step: the action's image, started as the runner starts it, with a chat message, a token and the
three default tags; the post stage's container counts if the runner would start it. Its peer is the script that people write
by hand: curl, bake, curl. The services behind it answer at once.

    scripts/bench.py --binary PATH --buildx PATH --docker PATH --socket PATH --registry HOST:PORT --address IP
                     [--actions DIR] [--rounds 7] [--case NAME]... [--write FILE]

DIR contains checkouts of `build-push-action` and `metadata-action`. With it, the official actions are players too: their
bundles under Node, one metadata and one build step for each image, as their documentation has it.
"""

import argparse
import datetime
import http.server
import json
import os
import pathlib
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

COMPOSE = """\
services:
  api:
    image: ${REPOSITORIES:-x}/api:main
    build: {context: ., dockerfile: docker/api.Dockerfile}
  web:
    image: ${REPOSITORIES:-x}/web:main
    build: {context: ., dockerfile: docker/web.Dockerfile}
"""
API = """\
FROM busybox:1.36
WORKDIR /app
RUN echo deps > deps && sleep 0.3
COPY requirements.txt .
RUN cat requirements.txt > installed
COPY src src
RUN find src -type f | wc -l > count
"""
WEB = """\
FROM busybox:1.36
WORKDIR /app
RUN echo tools > tools && sleep 0.3
COPY web web
RUN find web -type f | wc -l > count
"""
BIG_COMPOSE = """\
services:
  data:
    image: ${REPOSITORIES:-x}/data:main
    build: {context: ., dockerfile: docker/data.Dockerfile}
"""
BIG = "FROM scratch\nCOPY . /data\n"
SHA = "0123456789abcdef0123456789abcdef01234567"


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def small_project(root):
    """251 files, 1 MB; returns the services."""
    rng = random.Random(1)
    write(root / "compose.yaml", COMPOSE)
    write(root / "docker/api.Dockerfile", API)
    write(root / "docker/web.Dockerfile", WEB)
    write(root / "requirements.txt", "django\n")
    write(root / ".dockerignore", ".git\n*.log\n")
    for i in range(200):
        write(root / f"src/pkg{i % 20}/mod{i}.py", rng.randbytes(4000))
    for i in range(50):
        write(root / f"web/page{i}.html", rng.randbytes(4000))
    return ["api", "web"]


def wide_project(root):
    """20 images of the same kind; returns the services."""
    services = [f"app{i}" for i in range(20)]
    compose = "services:\n"
    for name in services:
        compose += f"  {name}:\n    image: ${{REPOSITORIES:-x}}/{name}:main\n"
        compose += f"    build: {{context: ., dockerfile: docker/{name}.Dockerfile}}\n"
        write(root / f"docker/{name}.Dockerfile", API + f"RUN echo {name} > name\n")
    write(root / "compose.yaml", compose)
    write(root / "requirements.txt", "django\n")
    for i in range(200):
        write(root / f"src/mod{i}.py", random.Random(i).randbytes(4000))
    return services


def big_project(root):
    """20,000 files, 500 MB; returns the services."""
    rng = random.Random(2)
    write(root / "compose.yaml", BIG_COMPOSE)
    write(root / "docker/data.Dockerfile", BIG)
    block = rng.randbytes(1 << 20)
    for i in range(20_000):
        at = rng.randrange(1 << 19)
        write(root / f"d{i % 100}/e{i // 1000}/f{i}", i.to_bytes(4, "big") + block[at : at + 25_000])
    return ["data"]


def idle_time():
    """Seconds in which a processor was idle, since the machine started; those of all processors are added up."""
    fields = open("/proc/stat").readline().split()
    return int(fields[4]) / os.sysconf("SC_CLK_TCK")


class Services(http.server.BaseHTTPRequestHandler):
    """Discord's webhook, and a GitHub that knows the repository and nothing else."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        known = "/webhooks/" in self.path or self.path == "/repos/bench/project"
        body = json.dumps({"id": "1", "default_branch": "main"} if known else {"message": "Not Found"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = answer

    def log_message(self, *_):
        pass


class Peak:
    """The peak memory of a process or one of its children, sampled every 10 ms. The kernel's own figure for a process that
    has ended would include the memory of this script, of which it was a copy."""

    def __init__(self, pid):
        self.pid, self.megabytes, self.over = pid, 0.0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def watch(self):
        while not self.over.wait(0.01):
            self.look(self.pid)

    def look(self, pid):
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        self.megabytes = max(self.megabytes, int(found[1]) / 1024 if found else 0.0)
        for child in children:
            self.look(child)


class Contest:
    """The players and what they need."""

    def __init__(self, args, work):
        self.args, self.work = args, work
        server = http.server.ThreadingHTTPServer((args.address, 0), Services)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.services = f"http://{args.address}:{server.server_port}"
        self.webhook = f"{self.services}/api/webhooks/1/bench"
        write(work / "event.json", json.dumps({"repository": {"default_branch": "main"}}))
        self.players = {
            "build-deploy": self.ours,
            "bake": lambda *run: self.bake(*run, attested=True),
            "bake, no attestations": lambda *run: self.bake(*run, attested=False),
            "docker compose build": self.compose,
        }
        if args.actions:
            self.players["official actions"] = self.actions
        self.steps = {"build-deploy": self.our_step, "script by hand": self.their_step}

    def measure(self, command, env, project):
        """Seconds and peak megabytes of one run."""
        with tempfile.TemporaryFile() as out:
            started = time.monotonic()
            process = subprocess.Popen(command, env=env, cwd=project, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            with Peak(process.pid) as peak:
                process.wait()
            seconds = time.monotonic() - started
            if process.returncode != 0:
                out.seek(0)
                sys.exit(f"{' '.join(map(str, command))} failed:\n{out.read().decode(errors='replace')[-3000:]}")
        return seconds, peak.megabytes

    def event(self, project):
        """What the runner says of a push."""
        return {
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_EVENT_PATH": str(self.work / "event.json"),
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_REPOSITORY": "bench/project",
            "GITHUB_RUN_ID": "1",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": SHA,
            "GITHUB_WORKSPACE": str(project),
        }

    def client(self):
        """The environment of Docker's own clients."""
        # The directory of Docker's plugins, below its configuration.
        config = str(pathlib.Path(self.args.buildx).parents[1])
        socket = f"unix://{self.args.socket}"
        return dict(os.environ, DOCKER_HOST=socket, DOCKER_CONFIG=config, BUILDX_BAKE_ENTITLEMENTS_FS="0")

    def ours(self, project, services, space):
        env = self.event(project) | {
            "PATH": os.environ["PATH"],
            "HOME": str(self.work),
            "DOCKER_HOST": f"unix://{self.args.socket}",
            "INPUT_REGISTRY": self.args.registry,
            "INPUT_IMAGE-NAME": "{registry}/ours-" + space + "/{image}",
            "INPUT_TAGS": "main",
        }
        return self.measure([self.args.binary, "run"], env, project)

    def bake(self, project, services, space, attested):
        env = self.client()
        if not attested:
            env["BUILDX_NO_DEFAULT_ATTESTATIONS"] = "1"
        kind = "attested" if attested else "bare"
        command = [self.args.buildx, "bake", "--push", "--progress=plain", "-f", "compose.yaml"]
        for service in services:
            command += ["--set", f"{service}.tags={self.args.registry}/{kind}-{space}/{service}:main"]
        return self.measure(command, env, project)

    def compose(self, project, services, space):
        env = self.client() | {"REPOSITORIES": f"{self.args.registry}/compose-{space}"}
        return self.measure([self.args.docker, "compose", "--progress=plain", "build", "--push"], env, project)

    def actions(self, project, services, space):
        """docker/metadata-action and docker/build-push-action for each image, one step after the other."""
        temp = self.work / "runner-temp"
        script = ["set -e"]
        for service in services:
            name = f"{self.args.registry}/actions-{space}/{service}"
            metadata = {"IMAGES": name, "TAGS": "type=ref,event=branch", "CONTEXT": "workflow"}
            build = {"CONTEXT": ".", "FILE": f"docker/{service}.Dockerfile", "PUSH": "true", "TAGS": f"{name}:main"}
            for action, inputs in (("metadata-action", metadata), ("build-push-action", build)):
                inputs = self.defaults(action) | inputs
                given = " ".join(f"'INPUT_{key}={value}'" for key, value in inputs.items())
                script.append(f"env {given} node {self.args.actions}/{action}/dist/index.cjs")
            # build-push-action's post stage.
            script.append(f"env STATE_isPost=true node {self.args.actions}/build-push-action/dist/index.cjs")
        env = self.client() | self.event(project) | {"RUNNER_TEMP": str(temp), "DOCKER_BUILD_SUMMARY": "false"}
        env |= {"GITHUB_API_URL": self.services, "INPUT_GITHUB-TOKEN": "bench"}
        for name in ("OUTPUT", "STATE", "ENV", "STEP_SUMMARY"):
            write(temp / name, "")
            env[f"GITHUB_{name}"] = str(temp / name)
        return self.measure(["sh", "-c", "\n".join(script)], env, project)

    def defaults(self, action):
        """The defaults of an action's inputs, which the runner sets; those that are expressions are empty here."""
        text = (self.args.actions / action / "action.yml").read_text()
        found = re.findall(r"^  ([\w-]+):\n(?:    .*\n)*?    default: (.*)\n", text, re.MULTILINE)
        return {name.upper(): value.strip("'\"") for name, value in found if "${{" not in value}

    def our_step(self, project, services, space):
        """The containers of a step. Its peak is that of the docker command line."""
        files = self.work / "files"
        inputs = {
            "DISCORD-WEBHOOK": self.webhook,
            "GITHUB-TOKEN": "bench",
            "IMAGE-NAME": "{registry}/step-" + space + "/{image}",
            "REGISTRY": self.args.registry,
        }
        env = {f"INPUT_{name}": value for name, value in inputs.items()} | self.event("/github/workspace")
        env |= {"GITHUB_ACTIONS": "true", "GITHUB_API_URL": self.services}
        env["GITHUB_EVENT_PATH"] = "/github/files/event.json"
        write(files / "event.json", (self.work / "event.json").read_bytes())
        for name in ("ENV", "OUTPUT", "STATE", "STEP_SUMMARY"):
            write(files / name, "")
            env[f"GITHUB_{name}"] = f"/github/files/{name}"

        def container(entrypoint, variables):
            command = [self.args.docker, "run", "--rm", "--workdir", "/github/workspace", "--entrypoint", entrypoint]
            mounts = {self.args.socket: "/var/run/docker.sock", files: "/github/files", project: "/github/workspace"}
            for source, target in mounts.items():
                command += ["-v", f"{source}:{target}"]
            for name, value in variables.items():
                command += ["-e", f"{name}={value}"]
            return self.measure([*command, "build-deploy:dev"], self.client(), project)

        seconds, peak = container("/build-deploy", env)
        if "not-needed" not in (files / "ENV").read_text():
            lines = (files / "STATE").read_text().splitlines()
            state = {f"STATE_{name.split('<<')[0]}": value for name, value in zip(lines[::3], lines[1::3])}
            seconds += container("/build-deploy-post", env | state)[0]
        return seconds, peak

    def their_step(self, project, services, space):
        """The script by hand."""
        bake = [self.args.buildx, "bake", "--push", "--progress=plain", "-f", "compose.yaml"]
        for service in services:
            name = f"{self.args.registry}/script-{space}/{service}"
            for tag in ("main", f"sha-{SHA[:7]}", "latest"):
                bake += ["--set", f"{service}.tags={name}:{tag}"]
        curl = f"curl -sf -o /dev/null -H 'content-type: application/json' -d '{{\"content\":\"x\"}}' {self.webhook}"
        return self.measure(["sh", "-ec", f'{curl}; "$@"; {curl}', "sh", *bake], self.client(), project)

    def start_up(self, project, services, space):
        """The start of the action's container, which prints its version."""
        command = [self.args.docker, "run", "--rm", "build-deploy:dev", "--version"]
        return self.measure(command, self.client(), project)

    def prune(self):
        """Empties the build cache, but for the compiler's own cache mounts, which spare `make image` minutes."""
        command = [self.args.buildx, "prune", "--builder", "default", "-af", "--filter", "type!=exec.cachemount"]
        subprocess.run(command, env=self.client(), check=True, stdout=subprocess.DEVNULL)

    def idle(self):
        """Waits until the machine has been idle for 0.2 s, at most 10 s."""
        for _ in range(50):
            before = idle_time()
            time.sleep(0.2)
            if idle_time() - before > 0.18 * os.cpu_count():
                return

    def play(self, players, rounds, project, services, prepare):
        """Each player `rounds` times, each time after `prepare`, which names the registry space to push to."""
        results = {name: [] for name in players}
        order = list(players.items())
        for number in range(rounds):
            random.Random(number).shuffle(order)
            for name, run in order:
                space = prepare()
                self.idle()
                results[name].append(run(project, services, space))
        return results


HEAD = ["case", "who", "median", "best", "ratio", "peak"]


def rows(case, results):
    """The table's rows of a case. The ratio is to the second player, the usual tool."""
    medians = {name: statistics.median(seconds for seconds, _ in runs) for name, runs in results.items()}
    base = list(medians.values())[min(1, len(medians) - 1)]
    for name, runs in results.items():
        best, peak = min(run[0] for run in runs), max(run[1] for run in runs)
        yield case, name, f"{medians[name]:.3f} s", f"{best:.3f} s", f"{medians[name] / base:.2f}", f"{peak:.1f} MB"


def table(lines):
    widths = [max(len(line[i]) for line in [HEAD, *lines]) for i in range(len(HEAD))]
    for line in [HEAD, ["-" * width for width in widths], *lines]:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"


def chart(lines):
    """The ratios as an SVG of bars."""
    height, left, scale = 18 * len(lines) + 30, 330, 200
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="760" height="{height}" fill="white"/>',
        f'<line x1="{left + scale}" y1="4" x2="{left + scale}" y2="{height - 20}" stroke="#888" stroke-dasharray="3"/>',
        f'<text x="{left + scale}" y="{height - 6}" text-anchor="middle" fill="#555">the usual tool = 1</text>',
    ]
    for index, (case, who, median, _, ratio, _) in enumerate(lines):
        y, width = 6 + 18 * index, min(float(ratio), 2.0) * scale
        color = "#2da44e" if who == "build-deploy" else "#8c959f"
        parts.append(f'<text x="{left - 8}" y="{y + 11}" text-anchor="end">{case}: {who}</text>')
        parts.append(f'<rect x="{left}" y="{y}" width="{width:.0f}" height="14" fill="{color}"/>')
        parts.append(f'<text x="{left + width + 5:.0f}" y="{y + 11}">{ratio} ({median})</text>')
    return "\n".join([*parts, "</svg>\n"])


def machine(args):
    """What was measured on which machine."""
    def output(*command):
        env = dict(os.environ, DOCKER_HOST=f"unix://{args.socket}")
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()

    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = int(next(line for line in open("/proc/meminfo") if line.startswith("MemTotal")).split()[1]) >> 20
    engine = output(args.docker, "version", "--format", "{{.Server.Version}}")
    size = int(output(args.docker, "image", "inspect", "--format", "{{.Size}}", "build-deploy:dev"))
    return [
        f"- {os.cpu_count()} cores ({model}), {memory} GiB, Linux {platform.release()}",
        f"- Docker Engine {engine} with the containerd image store; {output(args.buildx, 'version')}",
        f"- Docker Compose {output(args.docker, 'compose', 'version', '--short')}; a registry on the same machine",
        f"- the action's image: {size / 1e6:.2f} MB compressed",
    ]


def few_rounds(args):
    """The rounds of cases that take minutes."""
    return max(3, args.rounds // 2)


def document(args, lines):
    today = datetime.date.today().isoformat()
    head = f"""\
# Benchmarks

`make bench` wrote this page on {today}. All players build the same projects with the same engine and push them to the same
registry. They take turns in random order, each on an idle machine, {args.rounds} rounds each, and {few_rounds(args)} with 20 images or
500 MB. The ratio compares medians with `docker buildx bake --push`, and for the whole step with a script of curl, bake and
curl.

"""
    notes = """
- `cold`: an empty build cache, and repositories that do not exist. `unchanged`: nothing has changed. `one file`: one file of
  the context has changed.
- build-deploy adds no attestations unless asked. bake, Compose and the official actions add provenance by default.
- The official actions are docker/metadata-action and docker/build-push-action, one step of each for every image, in the order
  of their documentation. The time that the runner needs to start a step is not included.
- `whole step` starts the container of the action, with a chat message, a token and three tags.

![The ratios as bars](images/benchmarks.svg)
"""
    write(args.write, head + "\n".join(machine(args)) + "\n\n" + "\n".join(table(lines)) + "\n" + notes)
    write(args.write.parent / "images/benchmarks.svg", chart([line for line in lines if line[0] != "start-up"]))


CASES = ["cold", "unchanged", "one-file", "wide", "step", "start-up", "big"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("binary", "buildx", "docker", "socket", "registry", "address"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--actions", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--write", type=pathlib.Path)
    args = parser.parse_args()
    cases = args.case or CASES
    work = pathlib.Path(tempfile.mkdtemp(prefix="build-deploy-bench-"))
    # A name that no registry has seen, so that a cold run has layers to push.
    run_id = f"{os.getpid()}-{int(time.time())}"
    counter = iter(range(1_000_000))
    contest = Contest(args, work)
    few = few_rounds(args)
    lines = []

    def cold():
        contest.prune()
        return f"{run_id}-{next(counter)}"

    def same():
        return run_id

    def changed(path):
        def prepare():
            write(path, f"change {run_id} {next(counter)}\n")
            return run_id

        return prepare

    def play(case, project, services, prepare, players=contest.players, rounds=args.rounds):
        if prepare is not cold:
            for run in players.values():
                run(project, services, run_id)
        new = list(rows(case, contest.play(players, rounds, project, services, prepare)))
        lines.extend(new)
        print("\n".join(table(new)), flush=True)

    try:
        small = work / "small"
        services = small_project(small)
        if "cold" in cases:
            play("cold", small, services, cold)
        if "unchanged" in cases:
            play("unchanged", small, services, same)
        if "one-file" in cases:
            play("one file", small, services, changed(small / "src/pkg1/mod1.py"))
        if "wide" in cases:
            wide = work / "wide"
            services_of_wide = wide_project(wide)
            play("20 images, unchanged", wide, services_of_wide, same, rounds=few)
            play("20 images, one file", wide, services_of_wide, changed(wide / "src/mod1.py"), rounds=few)
        if "step" in cases:
            play("whole step, unchanged", small, services, same, contest.steps)
        if "start-up" in cases:
            play("start-up", small, services, same, {"build-deploy": contest.start_up})
        if "big" in cases:
            big = work / "big"
            services = big_project(big)
            play("500 MB, cold", big, services, cold, rounds=few)
            play("500 MB, unchanged", big, services, same, rounds=few)
            play("500 MB, one file", big, services, changed(big / "d1/e0/f1"), rounds=few)
            contest.prune()
        if args.write:
            document(args, lines)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
