"""What there is and where: the tables of databases and services, their ports, the variables, the state folder.

Tables     DATABASES, SERVICES and environment() say what there is, the other modules only walk them. environment() is
           the one source of every variable: `./dev env` prints it; the services, the demo and the tests get it.
Ports      Everything listens on 127.0.0.1 only, on its own port + WAYPOST_PORT_OFFSET (default 0).
State      One folder for each clone, /var/tmp/waypost-<uid>-<hash of the clone's path> or WAYPOST_STATE_DIR:
           <name>/ is where a process works, run/<name>.json says which process it is, logs/<name>.log is what it
           printed. It is outside the clone because PostgreSQL refuses to run as root: it then runs as `postgres`,
           who must be able to reach its data.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from messages import Failure, UsageError

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Database:
    name: str
    base_port: int

    def url(self, database: str = "") -> str:
        place = f"{HOST}:{port(self.base_port)}/{database or self.name + '_db'}"
        return f"postgresql://{self.name}_user:{self.name}_pass@{place}"


@dataclass(frozen=True)
class Service:
    name: str
    base_port: int
    listen: str


REDIS_PORT, LOCALSTACK_PORT, AUTH_PORT = 6379, 4566, 3001
DATABASES = (Database("auth", 5433), Database("user", 5435))
SERVICES = (Service("auth-service", AUTH_PORT, "AUTH_LISTEN"), Service("user-worker", 9102, "WORKER_ADMIN_LISTEN"))


def environment() -> dict[str, str]:
    """The variables by which services, demo, tests and people reach the stack."""
    return database_urls() | {
        "REDIS_URL": f"redis://{HOST}:{port(REDIS_PORT)}",
        "LOCALSTACK_ENDPOINT": f"http://{HOST}:{port(LOCALSTACK_PORT)}",
        "AUTH_URL": f"http://{HOST}:{port(AUTH_PORT)}",
        "AWS_REGION": "us-east-1",
        "EVENT_PUBLISHER_TYPE": "sns",
        "APP_ENV": "development",
    }


def database_urls(database: str = "") -> dict[str, str]:
    return {f"{each.name.upper()}_DATABASE_URL": each.url(database) for each in DATABASES}


def port(base: int) -> int:
    offset = os.environ.get("WAYPOST_PORT_OFFSET") or "0"
    if not re.fullmatch(r"[0-9]{1,5}", offset) or base + int(offset) > 65535:
        raise UsageError(f"WAYPOST_PORT_OFFSET is {offset!r}: it must be a number that leaves all ports below 65536")
    return base + int(offset)


def state(*parts: str) -> Path:
    own = f"/var/tmp/waypost-{os.getuid()}-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
    return Path(os.environ.get("WAYPOST_STATE_DIR") or own).resolve().joinpath(*parts)


def make_state() -> None:
    """Makes the folder, with a mark that it is ours: a folder without it is not used, and so never wiped."""
    state().mkdir(parents=True, exist_ok=True)
    foreign = any(state().iterdir()) and not state("waypost-clone").exists()
    if foreign or state().stat().st_uid != os.getuid():
        raise Failure(f"{state()} is not a state folder of yours: move it away, or set WAYPOST_STATE_DIR to another")
    state().chmod(0o711)
    state("waypost-clone").write_text(f"{ROOT}\n")
    state("run").mkdir(exist_ok=True)
    state("logs").mkdir(exist_ok=True)
