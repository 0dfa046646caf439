"""The event catalog and the schemas, judged by programs that are not ours: two from npm, one from PyPI.

Those from npm are pinned with hashes in catalog-checks/package-lock.json. They are installed outside the clone, into a
folder that all clones share, named after what it holds; the file `complete` in it is written last, so that an interrupted
installation is done again. No script of a package is run.
Without Node there is nothing that could stand in for it, so that is said and skipped; CI has it.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from installing import install_missing
from messages import say, timed
from places import ROOT, cache
from programs import run
from supervision import locked
from venvs import NEED, Venv

CHECKS = ROOT / "deploy/dev/catalog-checks"
LEAST_NODE = 18
ENGINE = Venv(
    name="schema-engine-4.26.0",
    title="an engine for JSON Schema",
    packages="""jsonschema==4.26.0 attrs==26.1.0 jsonschema-specifications==2025.9.1 referencing==0.37.0 rpds-py==2026.9.1
        typing_extensions==4.16.0""",
)


def check_by_node() -> None:
    """AsyncAPI's parser and EventCatalog's linter, on the folder that is committed."""
    if missing := what_node_lacks():
        return say(f"skipped, because {missing}: AsyncAPI's parser and EventCatalog's linter are not asked")
    lock = CHECKS / "package-lock.json"
    folder = cache(f"catalog-checks-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}")

    def install() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for file in (CHECKS / "package.json", lock):
            shutil.copy(file, folder)
        run(["npm", "ci", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])

    installed(folder, install)
    run(["node", str(CHECKS / "check.cjs"), str(folder), str(ROOT / "event-catalog")])


def what_node_lacks() -> str:
    if not shutil.which("node") or not shutil.which("npm"):
        return "there is no Node with npm on PATH"
    version = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    found = re.match(r"v(\d+)", version)
    return "" if found and int(found[1]) >= LEAST_NODE else f"Node is {version or 'broken'}, and {LEAST_NODE} is the least"


def check_by_python(install: bool) -> None:
    """Schemas by their meta-schema, examples by their schemas."""
    if not NEED.find() and not install:
        return say("skipped, because Python has no venv; --install gets it")
    install_missing([NEED])
    ENGINE.make()
    run([str(ENGINE.python), "-I", str(CHECKS / "judge.py"), str(ROOT)])


def installed(folder: Path, install: Callable[[], None]) -> None:
    """Once for all clones."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not (folder / "complete").exists():
            with timed(f"installing into {folder}, once for all clones"):
                install()
            (folder / "complete").touch()
