"""Programs that run to their end: helpers, what people watch, cargo.

All run in the clone's root. What a helper prints is for people, so it goes to stderr. A program that people watch ends
in its own way, also when it is interrupted, and we end after it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from messages import Failure, timed
from places import ROOT, Bus, test_environment
from processes import TERMINAL, stat

ENDINGS = (signal.SIGTERM, signal.SIGHUP)
# Of each binary that is run here.
PACKAGES = {"waypost": "waypost", "chaos": "waypost-chaos", "bench": "waypost-bench"}


def run(command: Sequence[str], variables: Mapping[str, str] = os.environ) -> None:
    """Runs a helper to its end; what it prints is for people."""
    everything = {**os.environ, **variables}
    if subprocess.run(command, cwd=ROOT, env=everything, stdout=sys.stderr, check=False).returncode:
        raise Failure(f"{shlex.join(command)} failed")


def foreground(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """Runs a command that people watch; interrupted, it ends in its own way, and we wait for it."""
    received: list[int] = []
    child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables})

    def forward(number: int, _frame: object) -> None:
        received.append(number)
        if number != signal.SIGINT or stat(os.getpid())[TERMINAL] == "0":  # a terminal tells the child itself
            child.send_signal(number)

    former = {number: signal.signal(number, forward) for number in (signal.SIGINT, *ENDINGS)}
    code = child.wait()
    for number, handler in former.items():
        signal.signal(number, handler)
    if received:
        sys.exit(128 + received[0])
    return code if code >= 0 else 128 - code


def cargo_command(arguments: str) -> list[str]:
    if not shutil.which("cargo"):
        raise Failure("there is no cargo on PATH: install Rust with rustup, then run this again")
    return ["cargo", *shlex.split(arguments)]


def cargo(arguments: str, **variables: str) -> None:
    if foreground(cargo_command(arguments), test_environment(Bus.LOCALSTACK) | {"SQLX_OFFLINE": "true"} | variables):
        raise Failure(f"cargo {arguments} failed")


def build() -> Path:
    """Builds the binary `waypost`."""
    (waypost,) = build_all("waypost")
    return waypost


def build_all(*names: str, release: bool = False) -> list[Path]:
    """Builds binaries, all at once; cargo tells where it put them."""
    chosen = shlex.join(part for name in names for part in ("--package", PACKAGES[name], "--bin", name))
    return built(chosen, names, release)


def build_one(name: str, manifest: Path, target: Path, *, release: bool) -> Path:
    """Builds a binary of another workspace."""
    chosen = shlex.join(["--manifest-path", str(manifest), "--target-dir", str(target), "--bin", name])
    (binary,) = built(chosen, [name], release)
    return binary


def built(chosen: str, names: Sequence[str], release: bool) -> list[Path]:
    profile = " --release" if release else ""
    command = cargo_command(f"build --locked {chosen}{profile} --message-format=json-render-diagnostics")
    variables = {**os.environ, "SQLX_OFFLINE": "true"}
    with timed(f"building {', '.join(names)}{' for release, which takes minutes the first time' if release else ''}"):
        done = subprocess.run(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, check=False)
    messages = map(json.loads, done.stdout.splitlines() if done.returncode == 0 else [])
    binaries = {message["target"]["name"]: message["executable"] for message in messages if message.get("executable")}
    if missing := [name for name in names if name not in binaries]:
        raise Failure(f"the build failed, or made no binary `{'`, `'.join(missing)}`")
    return [Path(binaries[name]) for name in names]
