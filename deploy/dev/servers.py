"""All servers of the stack, and the infrastructure as a whole.

infra() is what the services need, services() are Waypost's own; each list is in the order of the start. Who borrows the
infrastructure leaves it as it was: what did not run before does not run after.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from installing import install_missing
from localstack import localstack
from places import (
    DATABASES,
    HOST,
    REDIS_PORT,
    SERVICES,
    Service,
    environment,
    make_state,
    port,
    state,
)
from postgres import postgres
from supervision import Server, answers, locked, running, start, stop_all


def redis() -> Server:
    number = port(REDIS_PORT)
    options = ["--port", str(number), "--bind", HOST, "--dir", str(state("redis")), "--save", "", "--appendonly", "no"]

    def ready() -> bool:
        with suppress(OSError), socket.create_connection((HOST, number), 2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(5) == b"+PONG"
        return False

    return Server("redis", "Redis", number, [shutil.which("redis-server") or "", *options], ready)


def infra() -> list[Server]:
    return [*map(postgres, DATABASES), redis(), localstack()]


def service(row: Service, binary: Path) -> Server:
    return Server(
        name=row.name,
        title=row.name,
        port=port(row.base_port),
        command=[str(binary), "run", row.name],
        ready=lambda: answers(port(row.base_port), "/readyz"),
        variables=environment() | {row.listen: f"{HOST}:{port(row.base_port)}"},
    )


def services(binary: Path = Path()) -> list[Server]:
    return [service(row, binary) for row in SERVICES]


def start_infra() -> None:
    make_state()
    install_missing()
    with locked(state("lock")):
        start(infra())


@contextmanager
def borrowed_infra() -> Iterator[None]:
    """The infrastructure for as long as it is needed: what did not run before does not run after."""
    make_state()
    missing = [server.name for server in infra() if not running(server.name)]
    try:
        start_infra()
        yield
    finally:
        stop_all(missing)
