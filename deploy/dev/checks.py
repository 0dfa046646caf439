"""The checks that need no servers, and the steps with their summary.

LINTS is the table of the checks; `lint` and `test`, and so CI, walk the same one. A summary of all steps that ran is
told in the end, also when one fails.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from catalog import check_by_node, check_by_python
from compose import check_compose
from containers import validate_compose
from fuzzing import check_fuzz_targets
from messages import Failure, say
from places import ROOT
from programs import cargo, run

# Name, cargo's arguments, variables, and whether --fast keeps it.
LINTS: tuple[tuple[str, str, dict[str, str], bool], ...] = (
    ("format", "fmt --all --check", {}, True),
    ("clippy", "clippy --workspace --all-targets --locked -- -D warnings", {}, True),
    ("rustdoc", "doc --no-deps --workspace --locked --document-private-items", {"RUSTDOCFLAGS": "-D warnings"}, False),
    ("deny", "deny check bans licenses sources", {}, False),
)
COMPILE_DEV = """import pathlib
for file in [pathlib.Path("dev"), *pathlib.Path("deploy/dev").rglob("*.py")]:
    compile(file.read_text(), file, "exec")"""
# Built without optimisation: it runs for a second, and building takes minutes.
CARGO_DENY = "install cargo-deny --locked --version 0.20.2 --no-default-features --debug"
Step = Callable[[str, Callable[[], object]], None]


@contextmanager
def steps() -> Iterator[Step]:
    """Yields what runs a step under a header; in the end there is a summary, also when a step fails."""
    rows = ["\n== summary"]

    def step(name: str, action: Callable[[], object]) -> None:
        say(f"\n== {name}")
        begun, result = time.monotonic(), "FAILED"
        try:
            action()
            result = "ok"
        finally:
            rows.append(f"  {name:<16} {time.monotonic() - begun:7.1f} s  {result}")

    try:
        yield step
    finally:
        say("\n".join(rows))


def run_lints(step: Step, options: argparse.Namespace) -> None:
    for name, command, variables, fast in LINTS:
        if options.fast and not fast:
            continue
        if name == "deny" and not shutil.which("cargo-deny"):
            if not options.install:
                say("\n== deny: skipped, because cargo-deny is not installed; --install does it, in some minutes")
                continue
            step("get cargo-deny", lambda: cargo(CARGO_DENY))
        step(name, lambda: cargo(command, **variables))  # noqa: B023
    if not options.fast:
        step("fuzz targets", check_fuzz_targets)
    step("dev", lambda: run([sys.executable, "-W", "error", "-c", COMPILE_DEV]))
    step("containers", lambda: check_containers(options))
    if not options.fast:
        step("catalog, Node", check_by_node)
        step("schemas, Python", lambda: check_by_python(options.install))


def check_containers(options: argparse.Namespace) -> None:
    check_compose()
    validate_compose(options.install)
    (rust,) = re.findall(r'^channel = "(.+)"', (ROOT / "rust-toolchain.toml").read_text(), re.MULTILINE)
    if f"FROM rust:{rust}-" not in (ROOT / "Dockerfile").read_text():
        raise Failure(f"the Dockerfile does not build with Rust {rust}, which rust-toolchain.toml names")
