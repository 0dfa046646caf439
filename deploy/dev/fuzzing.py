"""Fuzzing: cargo-fuzz on the pinned toolchain, without a sanitizer, which is what would need another one.

tests/fuzz is a workspace of its own, since all that it is made of is built with instrumentation. It gets the lock file
of the real one, so what is fuzzed is what is shipped. The decoder starts from schemas/examples, the other targets from
tests/fuzz/seeds; what they find worth keeping is kept in target/fuzz, and what breaks one of them in
tests/fuzz/artifacts, with the command that runs it again.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from messages import Failure, UsageError, say
from places import ROOT
from programs import cargo

FOLDER = ROOT / "tests/fuzz"
BUILT = ROOT / "target/fuzz"
DECODER = "decoder"
INSTALL = "install cargo-fuzz --locked --version 0.13.2"


def targets() -> list[str]:
    return sorted(path.stem for path in (FOLDER / "fuzz_targets").glob("*.rs"))


def fuzz_targets(named: Sequence[str], seconds: int, install: bool) -> None:
    """Runs those that are named, or all, for the same time each."""
    if unknown := set(named) - set(targets()):
        raise UsageError(f"there is no target {min(unknown)!r}; there are: {', '.join(targets())}")
    chosen = sorted(set(named)) or targets()
    if seconds < len(chosen):
        raise UsageError(f"--seconds is {seconds}, should be at least one for each of {len(chosen)} targets")
    if not shutil.which("cargo-fuzz"):
        if not install:
            raise Failure("cargo-fuzz is not installed: `./dev fuzz --install` does it, in a minute or two")
        cargo(INSTALL)
    take_lock()
    for target in chosen:
        fuzz_target(target, seconds // len(chosen))


def fuzz_target(target: str, seconds: int) -> None:
    found, words = BUILT / "corpus" / target, FOLDER / "dictionaries" / f"{target}.dict"
    found.mkdir(parents=True, exist_ok=True)
    seeds = write_seeds(BUILT / "seeds") if target == DECODER else FOLDER / "seeds" / target
    count = len(list(seeds.iterdir()))
    say(f"fuzzing {target} for {seconds} s, from {count} seeds; the first build takes some minutes")
    build = ["--fuzz-dir", str(FOLDER), "--target-dir", str(BUILT), "--sanitizer", "none"]
    limits = [f"-max_total_time={seconds}", "-max_len=16384", "-timeout=10", "-print_final_stats=1"]
    if words.exists():
        limits.append(f"-dict={words}")
    cargo(shlex.join(["fuzz", "run", *build, target, str(found), str(seeds), "--", *limits]))


def check_fuzz_targets() -> None:
    take_lock()
    manifest = shlex.join(["--manifest-path", str(FOLDER / "Cargo.toml")])
    cargo(f"fmt {manifest} --check")
    cargo(f"clippy {manifest} {shlex.join(['--target-dir', str(ROOT / 'target')])} -- -D warnings")


def take_lock() -> None:
    shutil.copy(ROOT / "Cargo.lock", FOLDER / "Cargo.lock")


def write_seeds(folder: Path) -> Path:
    """Every example in an envelope, and every other one of these in a notification."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = sorted((ROOT / "schemas/examples").glob("*/v*/*/*.json"))
    for at, path in enumerate(examples):
        event_type, version, *name = path.relative_to(ROOT / "schemas/examples").with_suffix("").parts
        body = json.dumps(envelope(event_type, int(version[1:]), json.loads(path.read_text())))
        if at % 2:
            body = json.dumps({"Type": "Notification", "MessageId": "m", "TopicArn": "arn", "Message": body})
        (folder / "-".join((event_type, version, *name))).write_text(body)
    return folder


def envelope(event_type: str, version: int, data: object) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": "019ab6a1-3c00-7000-8000-000000000001",
        "source": "auth-service",
        "type": event_type,
        "subject": "019ab6a1-3c00-7000-8000-000000000002",
        "time": "2026-01-02T03:04:05.678Z",
        "datacontenttype": "application/json",
        "schemaversion": version,
        "sequence": "00001767323045678901",
        "data": data,
    }
