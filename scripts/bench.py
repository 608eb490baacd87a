#!/usr/bin/env python3
"""Measures build-deploy against `docker buildx bake --push`: the same project, engine and registry, in one run.

The players take turns in random order, so that noise hits all; what counts is the ratio of the medians. Each run is a
process of its own whose wall time and peak memory (maximum resident set) the kernel tells. All are given the same
compose project of two images. build-deploy makes no attestations unless asked; bake does by default and its users pay
for it, so bake is measured with its defaults and without attestations.

    scripts/bench.py --binary PATH --buildx PATH --socket PATH --registry HOST:PORT
                     [--rounds 7] [--case NAME]...
"""

import argparse
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

COMPOSE = """\
services:
  api:
    build: {context: ., dockerfile: docker/api.Dockerfile}
  web:
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
BIG_COMPOSE = "services:\n  data:\n    build: .\n"
BIG = "FROM scratch\nCOPY . /data\n"


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


def big_project(root):
    """20,000 files, 500 MB; returns the services."""
    rng = random.Random(2)
    write(root / "compose.yaml", BIG_COMPOSE)
    write(root / "Dockerfile", BIG)
    block = rng.randbytes(1 << 20)
    for i in range(20_000):
        at = rng.randrange(1 << 19)
        write(root / f"d{i % 100}/e{i // 1000}/f{i}", i.to_bytes(4, "big") + block[at : at + 25_000])
    return ["data"]


class Contest:
    """The players and what they need."""

    def __init__(self, args, work):
        self.args, self.work = args, work
        self.event = work / "event.json"
        write(self.event, "{}")
        self.players = {
            "build-deploy": self.ours,
            "bake": lambda *run: self.bake(*run, attested=True),
            "bake, no attestations": lambda *run: self.bake(*run, attested=False),
        }

    def measure(self, command, env, project):
        """Seconds and peak megabytes of one run."""
        with tempfile.TemporaryFile() as out:
            started = time.monotonic()
            process = subprocess.Popen(command, env=env, cwd=project, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                out.seek(0)
                sys.exit(f"{' '.join(command)} failed:\n{out.read().decode(errors='replace')[-3000:]}")
        return seconds, usage.ru_maxrss / 1024

    def ours(self, project, services, space):
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.work),
            "DOCKER_HOST": f"unix://{self.args.socket}",
            "GITHUB_WORKSPACE": str(project),
            "GITHUB_REPOSITORY": "bench/project",
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_EVENT_PATH": str(self.event),
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_SHA": "0" * 40,
            "INPUT_REGISTRY": self.args.registry,
            "INPUT_IMAGE-NAME": "{registry}/ours-" + space + "/{image}",
            "INPUT_TAGS": "main",
        }
        return self.measure([self.args.binary, "run"], env, project)

    def bake(self, project, services, space, attested):
        env = dict(os.environ, DOCKER_HOST=f"unix://{self.args.socket}", BUILDX_BAKE_ENTITLEMENTS_FS="0")
        if not attested:
            env["BUILDX_NO_DEFAULT_ATTESTATIONS"] = "1"
        kind = "attested" if attested else "bare"
        command = [self.args.buildx, "bake", "--push", "--progress=plain", "-f", "compose.yaml"]
        for service in services:
            command += ["--set", f"{service}.tags={self.args.registry}/{kind}-{space}/{service}:main"]
        return self.measure(command, env, project)

    def prune(self):
        """Empties the build cache, but for the compiler's own cache mounts, which spare `make image` minutes."""
        env = dict(os.environ, DOCKER_HOST=f"unix://{self.args.socket}")
        command = [self.args.buildx, "prune", "--builder", "default", "-af", "--filter", "type!=exec.cachemount"]
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)

    def play(self, case, rounds, project, services, prepare):
        """Each player `rounds` times, each time after `prepare`, which names the registry space to push to."""
        results = {name: [] for name in self.players}
        order = list(self.players.items())
        for number in range(rounds):
            random.Random(number).shuffle(order)
            for name, run in order:
                results[name].append(run(project, services, prepare()))
        report(case, results)


def report(case, results):
    base = statistics.median(seconds for seconds, _ in results["bake"])
    for name, runs in results.items():
        seconds = [run[0] for run in runs]
        median, peak = statistics.median(seconds), max(run[1] for run in runs)
        row = f"| {case:<18} | {name:<21} | {median:7.3f} s | {min(seconds):7.3f} s | {median / base:5.2f} | {peak:6.1f} MB |"
        print(row, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("binary", "buildx", "socket", "registry"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--case", action="append", choices=["cold", "unchanged", "one-file", "big"])
    args = parser.parse_args()
    cases = args.case or ["cold", "unchanged", "one-file", "big"]
    work = pathlib.Path(tempfile.mkdtemp(prefix="build-deploy-bench-"))
    # A name that no registry has seen, so that a cold run has layers to push.
    run_id = f"{os.getpid()}-{int(time.time())}"
    counter = iter(range(1_000_000))
    contest = Contest(args, work)

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

    def warm(project, services):
        for run in contest.players.values():
            run(project, services, run_id)

    print(f"| {'case':<18} | {'who':<21} | {'median':>9} | {'best':>9} | ratio | {'peak':>9} |")
    print(f"|{'-' * 20}|{'-' * 23}|{'-' * 11}|{'-' * 11}|{'-' * 7}|{'-' * 11}|")
    try:
        small = work / "small"
        services = small_project(small)
        if "cold" in cases:
            contest.play("cold", args.rounds, small, services, cold)
        if "unchanged" in cases:
            warm(small, services)
            contest.play("unchanged", args.rounds, small, services, same)
        if "one-file" in cases:
            warm(small, services)
            contest.play("one file changed", args.rounds, small, services, changed(small / "src/pkg1/mod1.py"))
        if "big" in cases:
            big = work / "big"
            services = big_project(big)
            rounds = max(3, args.rounds // 2)
            contest.play("500 MB, cold", rounds, big, services, cold)
            warm(big, services)
            contest.play("500 MB, unchanged", rounds, big, services, same)
            contest.play("500 MB, one file", rounds, big, services, changed(big / "d1/e0/f1"))
            contest.prune()
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
