"""The offline query data in .sqlx: how it is made, and how it is compared.

Every query is described by the migrated schema in scratch databases, never by the real ones, which may hold other
migrations. The comparison is of content, so that only a query or a column that changed counts.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from messages import Failure, say
from places import DATABASES, ROOT, Database
from postgres import psql
from programs import cargo


def described() -> Iterator[tuple[str, Database, list[Path]]]:
    """Every database that queries are described by: its variable, whose server it may be on, and what makes it."""
    for database in DATABASES:
        yield database.variable, database, sorted(ROOT.glob(f"migrations/{database.name}_db/*.sql"))
    # The tutorial's services have the tables that every producer and every consumer has, and their own.
    shared = [*ROOT.glob("migrations/auth_db/*_outbox*.sql"), *ROOT.glob("migrations/user_db/*_event_logs*.sql")]
    own = sorted(ROOT.glob("docs/tutorial/sql/*.sql"))
    yield "TUTORIAL_DATABASE_URL", DATABASES[0], [*sorted(shared), *own]


@contextmanager
def scratch_databases() -> Iterator[dict[str, str]]:
    """New databases with all migrations, beside the real ones; yields their URLs by variable."""
    mark = secrets.token_hex(4)
    scratch = {variable: f"sqlx_check_{mark}_{variable.lower()}" for variable, _, _ in described()}
    try:
        for variable, server, files in described():
            psql(server.url(), "-c", f"CREATE DATABASE {scratch[variable]}")
            for file in files:
                psql(server.url(database=scratch[variable]), "-f", str(file))
        yield {variable: server.url(database=scratch[variable]) for variable, server, _ in described()}
    finally:
        for variable, server, _ in described():
            psql(server.url(), "-c", f"DROP DATABASE IF EXISTS {scratch[variable]} WITH (FORCE)")


@contextmanager
def recompiled(pattern: str) -> Iterator[None]:
    """Makes cargo take the sources that match for changed; sets their times back, but for those changed meanwhile."""
    folders = [folder for folder in ROOT.glob("[!.]*/") if folder.name != "target"]
    sources = [file for folder in folders for file in folder.rglob("*.rs") if re.search(pattern, file.read_text())]
    before, now = {file: file.stat().st_mtime_ns for file in sources}, time.time_ns()
    try:
        for file in sources:
            os.utime(file, ns=(now, now))
        yield
    finally:
        for file, changed in before.items():
            if file.exists() and file.stat().st_mtime_ns == now:
                os.utime(file, ns=(changed, changed))


def descriptions(folder: Path) -> dict[str, Any]:
    return {file.name: json.loads(file.read_text()) for file in folder.glob("query-*.json")}


def describe_queries(check: bool) -> None:
    """Has every query described by the migrated schema; then stores that, or compares it with what is stored."""
    stored = ROOT / ".sqlx"
    with tempfile.TemporaryDirectory() as folder, scratch_databases() as urls, recompiled(r"\bquery\w*!\s*[(\[{]"):
        cargo("check --workspace --all-targets --locked", SQLX_OFFLINE="false", SQLX_OFFLINE_DIR=folder, **urls)
        old, new = descriptions(stored), descriptions(Path(folder))
        if not check:
            shutil.rmtree(stored, ignore_errors=True)
            stored.mkdir()
            for name in new:
                shutil.copy(Path(folder, name), stored)
    changed = sorted(name for name in old | new if old.get(name) != new.get(name))
    for name in changed:
        kind = "missing" if name not in old else "unused" if name not in new else "stale"
        say(f"  {kind}: .sqlx/{name}: {' '.join((old | new)[name]['query'].split())[:90]}")
    if check and changed:
        raise Failure("the offline query data does not fit the queries and the schema: run ./dev sqlx")
    say(f"{len(new)} queries, {len(changed)} changed")
