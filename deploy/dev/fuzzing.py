"""Fuzzing: cargo-fuzz on the pinned toolchain, without a sanitizer, which is what would need another one.

tests/fuzz is a workspace of its own, since all that it is made of is built with instrumentation. It gets the lock file
of the real one, so what is fuzzed is what is shipped. It starts from schemas/examples; what it finds worth keeping is
kept in target/fuzz, and what breaks the target in tests/fuzz/artifacts, with the command that runs it again.
"""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

from messages import Failure, say
from places import ROOT
from programs import cargo

FOLDER = ROOT / "tests/fuzz"
BUILT = ROOT / "target/fuzz"
TARGET = "decoder"
INSTALL = "install cargo-fuzz --locked --version 0.13.2"


def fuzz_target(seconds: int, install: bool) -> None:
    if not shutil.which("cargo-fuzz"):
        if not install:
            raise Failure("cargo-fuzz is not installed: `./dev fuzz --install` does it, in a minute or two")
        cargo(INSTALL)
    take_lock()
    seeds, found = BUILT / "seeds", BUILT / "corpus"
    found.mkdir(parents=True, exist_ok=True)
    say(f"fuzzing {TARGET} for {seconds} s, from {write_seeds(seeds)} seeds; the first build takes some minutes")
    build = ["--fuzz-dir", str(FOLDER), "--target-dir", str(BUILT), "--sanitizer", "none"]
    limits = [f"-max_total_time={seconds}", "-max_len=16384", "-timeout=10", "-print_final_stats=1"]
    cargo(shlex.join(["fuzz", "run", *build, TARGET, str(found), str(seeds), "--", *limits]))


def check_fuzz_target() -> None:
    take_lock()
    manifest = shlex.join(["--manifest-path", str(FOLDER / "Cargo.toml")])
    cargo(f"fmt {manifest} --check")
    cargo(f"clippy {manifest} {shlex.join(['--target-dir', str(ROOT / 'target')])} -- -D warnings")


def take_lock() -> None:
    shutil.copy(ROOT / "Cargo.lock", FOLDER / "Cargo.lock")


def write_seeds(folder: Path) -> int:
    """Every example in an envelope, and every other one of these in a notification."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = sorted((ROOT / "schemas/examples").glob("*/v*/*/*.json"))
    for at, path in enumerate(examples):
        event_type, version, *name = path.relative_to(ROOT / "schemas/examples").with_suffix("").parts
        body = json.dumps(envelope(event_type, int(version[1:]), json.loads(path.read_text())))
        if at % 2:
            body = json.dumps({"Type": "Notification", "MessageId": "m", "TopicArn": "arn", "Message": body})
        (folder / "-".join((event_type, version, *name))).write_text(body)
    return len(examples)


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
