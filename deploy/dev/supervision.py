"""The life of a server: its record, how it is started, awaited and stopped.

Each server has its own session. Its record, run/<name>.json, holds the pid with its start time, so a recycled pid is
never taken for it, and a stamp of its command, variables and binary: when the stamp no longer fits, it is restarted,
and otherwise it is left alone. No process outlives stop(), also none that a crash left behind. Who starts or stops
holds the lock of the state folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from installing import Need
from messages import Failure, say
from places import HOST, port, state
from processes import listener, started, stat, strays, target


@dataclass(frozen=True)
class Server:
    """A process of the stack. `prepare` makes what it needs to start, `equip` what must be in it once it is ready; both
    make only what is missing."""

    name: str
    title: str
    port: int
    command: Sequence[str]
    ready: Callable[[], bool]
    needs: Sequence[Need] = ()
    prepare: Callable[[], None] = lambda: None
    equip: Callable[[], None] = lambda: None
    variables: Mapping[str, str] = field(default_factory=dict)
    user: Mapping[str, Any] = field(default_factory=dict)
    stop_signal: int = signal.SIGTERM
    patience: float = 60

    def stamp(self) -> str:
        binary = Path(self.command[0])
        changed = binary.stat().st_mtime_ns if binary.exists() else 0
        return hashlib.sha256(repr((self.command, sorted(self.variables.items()), changed)).encode()).hexdigest()


def record_of(name: str) -> dict[str, Any]:
    try:
        return dict(json.loads(state("run", f"{name}.json").read_text()))
    except (OSError, ValueError):
        return {}


def running(name: str) -> dict[str, Any]:
    """The record of a process we started that lives; empty when there is none."""
    record = record_of(name)
    return record if record.get("started") and started(record["pid"]) == record["started"] else {}


def start(servers: Sequence[Server]) -> None:
    """Starts what does not run, restarts what no longer runs as it should, leaves the rest alone."""
    stale = [server for server in servers if running(server.name).get("stamp") != server.stamp()]
    for server in stale:
        stop(server.name)
    for server in stale:
        require_port(server)
    for server in stale:
        state(server.name).mkdir(exist_ok=True)
        server.prepare()
        launch(server)
    for server in servers:
        if server in stale or not server.ready():
            await_ready(server)
        server.equip()


def require_port(server: Server) -> None:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.bind((HOST, server.port))
    who, remedy = "another user's process", "stop it (./dev down --docker, if it is compose's)"
    if found := listener(server.port):
        command = (found / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        who, home = f"pid {found.name}: {command[:100].strip()}", Path(target(found / "cwd"))
        for mark in (folder / "waypost-clone" for folder in (home, *home.parents)):
            with suppress(OSError):
                remedy = f"run ./dev down in {mark.read_text().strip()}, to which it belongs"
    raise Failure(
        f"port {server.port}, which {server.title} needs, is taken by {who}\n"
        f"  {remedy}; or use other ports: export WAYPOST_PORT_OFFSET={port(0) + 1000}"
    )


def launch(server: Server) -> None:
    say(f"starting {server.title} on {HOST}:{server.port} …")
    log, record = state("logs", f"{server.name}.log"), state("run", f"{server.name}.json")
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    with log.open("wb") as output:
        place: dict[str, Any] = {"cwd": state(server.name), "env": {**os.environ, **server.variables}, **server.user}
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        child = subprocess.Popen(server.command, start_new_session=True, **place, **streams)
    entry = {"pid": child.pid, "started": started(child.pid), "port": server.port}
    entry |= {"since": time.strftime("%F %T"), "stamp": server.stamp(), "stop_signal": server.stop_signal}
    record.with_suffix(".new").write_text(json.dumps(entry))
    record.with_suffix(".new").replace(record)


def await_ready(server: Server) -> None:
    begun = time.monotonic()
    wait_until(lambda: not running(server.name) or server.ready(), server.patience)
    waited = f"{time.monotonic() - begun:.1f} s"
    if running(server.name) and server.ready():
        return say(f"  {server.title} is ready ({waited})")
    what = f"was not ready after {waited}" if running(server.name) else "ended"
    log = state("logs", f"{server.name}.log")
    say("\n".join([f"--- the end of {log}", *log.read_text(errors="replace").splitlines()[-20:], "---"]))
    stop(server.name)
    raise Failure(f"{server.title} {what}")


def stop(name: str, grace: float = 120) -> None:
    """Ends the process, and what a crash left of it. A worker drains, and PostgreSQL writes a checkpoint first."""
    if record := running(name):
        say(f"stopping {name} …")
        os.killpg(record["pid"], record["stop_signal"])
        if not wait_until(lambda: not running(name), grace):
            say(f"  it did not end within {grace:.0f} s: killing it")
    left = strays(state(name))
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(stat, left)), 10)
    state("run", f"{name}.json").unlink(missing_ok=True)


def stop_all(names: Sequence[str]) -> None:
    with locked(state("lock")):
        for name in reversed(names):
            stop(name)


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(met)


def answers(number: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, number, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another ./dev, which holds {path} …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
