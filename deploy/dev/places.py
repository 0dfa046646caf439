"""What there is and where: the tables of servers, databases and services, their ports, the variables, the state folder.

Tables     POSTGRES_SERVERS, DATABASES, SERVICES and environment() say what there is, the other modules only walk them.
           environment() is the one source of every variable: `./dev env` prints it; the services, the demo, the tests
           (with test_environment()) and compose.yaml get it. It is told by which bus events travel, and how to write an address: here() for
           what runs on this machine, in_compose() for what runs in containers.
Ports      Everything listens on 127.0.0.1 only, on its own port + WAYPOST_PORT_OFFSET (default 0).
State      One folder for each clone, /var/tmp/waypost-<uid>-<hash of the clone's path> or WAYPOST_STATE_DIR:
           <name>/ is where a process works, run/<name>.json says which process it is, logs/<name>.log is what it
           printed, bus says for which bus `./dev up` started what is up, keys/ and mails/ are what FOLDERS says. It is outside the clone because PostgreSQL
           refuses to run as root: it then runs as `postgres`, who must be able to reach its data.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from messages import Failure, UsageError

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
OWN_VARIABLES = ("WAYPOST_PORT_OFFSET", "WAYPOST_STATE_DIR")


class Bus(Enum):
    """How events travel, as EVENT_PUBLISHER_TYPE says it."""

    EMBEDDED = "postgres"  # in bus_db: needs PostgreSQL only
    LOCALSTACK = "sns"  # SNS and SQS, which LocalStack plays: the only one that needs everything


@dataclass(frozen=True)
class Place:
    """Where a server listens: on this machine, and in compose."""

    host: str
    base_port: int
    inner_port: int


Address = Callable[[Place], str]


def here(place: Place) -> str:
    return f"{HOST}:{port(place.base_port)}"


def in_compose(place: Place) -> str:
    return f"{place.host}:{place.inner_port}"


@dataclass(frozen=True)
class PostgresServer:
    """A server of PostgreSQL, and whose databases it holds."""

    name: str
    base_port: int
    holds: tuple[str, ...]

    @property
    def place(self) -> Place:
        return Place(f"postgres-{self.name}", self.base_port, 5432)

    @property
    def databases(self) -> tuple[Database, ...]:
        return tuple(Database(name, self.place) for name in self.holds)


@dataclass(frozen=True)
class Database:
    """A database, of a role of its own."""

    name: str
    place: Place

    @property
    def variable(self) -> str:
        return f"{self.name.upper()}_DATABASE_URL"

    def url(self, address: Address = here, database: str = "") -> str:
        role = f"{self.name}_user:{self.name}_pass"
        return f"postgresql://{role}@{address(self.place)}/{database or self.name + '_db'}"


@dataclass(frozen=True)
class Service:
    """A process of Waypost: what `waypost run` is told, where it listens by which variable, which databases it uses."""

    name: str
    arguments: str
    base_port: int
    listen: str
    databases: tuple[str, ...]
    # Those of FOLDERS that it works with.
    folders: tuple[str, ...] = ()
    mails: bool = False
    # Whether it takes the access tokens of auth-service.
    tokens: bool = False
    # Whether it counts limits and keeps data in Redis, where there is one.
    redis: bool = False
    # Where it answers health checks, by which variable, where that is not where it listens.
    admin: tuple[str, int] | None = None
    # Whether it is there unasked; compose has the others in a profile of their name.
    always: bool = True

    @property
    def place(self) -> Place:
        return Place(self.name, self.base_port, self.base_port)

    @property
    def probed_at(self) -> Place:
        base_port = self.admin[1] if self.admin else self.base_port
        return Place(self.name, base_port, base_port)


POSTGRES_SERVERS = (
    PostgresServer("auth", 5433, ("auth",)),
    PostgresServer("product", 5434, ("product",)),
    PostgresServer("user", 5435, ("user",)),
    PostgresServer("platform", 5436, ("bus", "mailer")),
)
# By the variables that name them. Here they are in the state folder, and in compose a volume each.
FOLDERS = {
    "MAILER_KEYS_DIR": "keys/mailer",
    "MAILER_PUBLIC_KEYS_DIR": "keys/mailer-public",
    "AUTH_KEYS_DIR": "keys/auth",
    "MAIL_FOLDER": "mails",
}
REDIS = Place("redis", 6379, 6379)
LOCALSTACK = Place("localstack", 4566, 4566)
# It shows mails at 8025, and takes them at this port.
MAILPIT = Place("mailpit", 1025, 1025)
CLOUDEVENTS_SDK = "cloudevents-2.2.0"
DATABASES = tuple(database for server in POSTGRES_SERVERS for database in server.databases)
AUTH_SERVICE = Service(
    "auth-service",
    "auth-service",
    3001,
    "AUTH_LISTEN",
    ("auth", "bus"),
    ("AUTH_KEYS_DIR", "MAILER_PUBLIC_KEYS_DIR"),
    redis=True,
    admin=("AUTH_ADMIN_LISTEN", 9100),
)
PRODUCT_SERVICE = Service(
    "product-service",
    "product-service",
    3003,
    "PRODUCT_LISTEN",
    ("product", "bus"),
    tokens=True,
    redis=True,
    admin=("PRODUCT_ADMIN_LISTEN", 9106),
)
USER_SERVICE = Service(
    "user-service",
    "user-service",
    3002,
    "USER_LISTEN",
    ("user",),
    tokens=True,
    redis=True,
    admin=("USER_ADMIN_LISTEN", 9107),
)
MAILER = Service(
    "mailer", "mailer", 9103, "MAILER_ADMIN_LISTEN", ("mailer", "bus"), ("MAILER_KEYS_DIR", "MAIL_FOLDER"), mails=True
)
USER_WORKER = Service("user-worker", "user-worker", 9102, "WORKER_ADMIN_LISTEN", ("user", "bus"))
# Of every outbox there is.
RELAY = Service(
    "relay",
    "relay --service auth --service product --service user",
    9101,
    "RELAY_ADMIN_LISTEN",
    ("auth", "product", "user", "bus"),
    always=False,
)
SERVICES = (
    AUTH_SERVICE,
    PRODUCT_SERVICE,
    USER_SERVICE,
    USER_WORKER,
    MAILER,
    Service("auth-worker", "auth-worker", 9104, "AUTH_WORKER_ADMIN_LISTEN", ("auth", "bus")),
    RELAY,
)


def environment(bus: Bus, address: Address = here, databases: Collection[str] = ()) -> dict[str, str]:
    """The variables by which services, demo, tests and people reach the stack; `databases` leaves out all others."""
    urls = {each.variable: each.url(address) for each in DATABASES if not databases or each.name in databases}
    servers = {
        "LOCALSTACK_ENDPOINT": f"http://{address(LOCALSTACK)}",
        "AWS_REGION": "us-east-1",
    }
    return {
        **urls,
        **(servers if bus is Bus.LOCALSTACK else {}),
        "EVENT_PUBLISHER_TYPE": bus.value,
        "APP_ENV": "development",
    }


def folders(names: Collection[str] = tuple(FOLDERS)) -> dict[str, str]:
    """What names folders of this machine."""
    return {name: str(state(FOLDERS[name])) for name in names}


def mails(address: Address = here) -> dict[str, str]:
    """How mails go: into a folder of this machine, and in compose to Mailpit."""
    way = {"MAIL_TRANSPORT": "file"}
    if address is in_compose:
        way = {"MAIL_TRANSPORT": "smtp", "SMTP_URL": f"smtp://{address(MAILPIT)}"}
    return {**way, "MAIL_FROM": "Waypost <no-reply@waypost.example>", "MAIL_LINK_BASE": "http://localhost:8000"}


def takes_tokens(address: Address = here) -> dict[str, str]:
    """By which keys access tokens are checked, and what keeps the keys of limits in Redis from telling whose they are."""
    key = base64.b64encode(b"no secret: for development alone").decode()
    return {"AUTH_JWKS_URL": f"http://{address(AUTH_SERVICE.place)}/.well-known/jwks.json", "RATE_LIMIT_KEY": key}


def shared_by_instances(bus: Bus, address: Address = here) -> dict[str, str]:
    """Where the instances of an API share what is not for ever. Events in PostgreSQL come without such a server."""
    return {"REDIS_URL": f"redis://{address(REDIS)}"} if bus is Bus.LOCALSTACK else {}


def test_environment(bus: Bus) -> dict[str, str]:
    """What tests need beside: they have another implementation of CloudEvents write and read events."""
    others = {"CLOUDEVENTS_PYTHON": str(venv_python(CLOUDEVENTS_SDK))}
    shared = shared_by_instances(bus) | takes_tokens()
    return environment(bus) | shared | folders() | mails() | (others if bus is Bus.LOCALSTACK else {})


def venv_python(name: str) -> Path:
    """Of a venv that all clones share; there is one for each version of Python, which it does not outlive."""
    return cache(f"{name}-py{sys.version_info.major}.{sys.version_info.minor}") / "bin/python"


def remembered_bus() -> Bus | None:
    """For which bus `./dev up` started what is up; none when nothing is."""
    with suppress(OSError, ValueError):
        return Bus(state("bus").read_text())
    return None


def remember_bus(bus: Bus) -> None:
    state("bus").write_text(bus.value)


def port(base: int) -> int:
    offset = os.environ.get("WAYPOST_PORT_OFFSET") or "0"
    if not re.fullmatch(r"[0-9]{1,5}", offset) or base + int(offset) > 65535:
        raise UsageError(f"WAYPOST_PORT_OFFSET is {offset!r}: it must be a number that leaves all ports below 65536")
    return base + int(offset)


def state(*parts: str) -> Path:
    own = f"/var/tmp/waypost-{os.getuid()}-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
    return Path(os.environ.get("WAYPOST_STATE_DIR") or own).resolve().joinpath(*parts)


def cache(name: str) -> Path:
    """What is installed once for all clones of this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "waypost" / name


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
