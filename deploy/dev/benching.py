"""The benchmark: `bench`, in bench/, which has servers of its own started by another ./dev.

What is measured is built as it is shipped, for release. What some of it is measured against (bench/peers) is a workspace
with a lock file of its own, because its features of the AWS SDK are not to become ours, and it takes minutes to build.
`./dev test` runs what needs no peers, small and built for debugging: that shows that it works and measures nothing.
"""

from __future__ import annotations

import os

from messages import Failure
from places import ROOT
from programs import build_all, build_one, foreground

PEERS = ROOT / "bench/peers/Cargo.toml"
# By its arguments it could be a value of an option, too; then the peers are built for nothing.
WITH_PEERS = ("sqs", "delayed", "relay")
WORKERS = ("ready", "embedded", "latency", "producer", "held", "claims", "fleet", "dlq")
API = ("import", "api", "profiles", "cache", "hashing", "crowd", "login-time")
WITHOUT_PEERS = (*WORKERS, *API)


def run_bench(arguments: list[str], release: bool = True) -> int:
    waypost, bench = build_all("waypost", "bench", release=release)
    programs = ["--waypost", str(waypost)]
    if not set(arguments) & set(WITHOUT_PEERS) or set(arguments) & set(WITH_PEERS):
        programs += ["--peers", str(build_one("peers", PEERS, ROOT / "target/peers", release=release))]
    return foreground([str(bench), *arguments, *programs], os.environ)


def measures_nothing(arguments: list[str]) -> bool:
    return arguments[:1] == ["plot"] or bool({"-h", "--help"} & set(arguments))


def tell_bench(arguments: list[str]) -> int:
    """What measures nothing needs no build for release, and no peers."""
    (bench,) = build_all("bench")
    return foreground([str(bench), *arguments], os.environ)


def check_bench() -> None:
    if run_bench([*WITHOUT_PEERS, "--quick", "--runs", "1", "--json"], release=False):
        raise Failure("the benchmark does not run to its end")
