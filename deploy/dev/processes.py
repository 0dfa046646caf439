"""Which process is which: what /proc tells about the processes of this machine.

A pid alone names nobody, because it is given to another process later; with its start time it names one process.
What a crash left without a record is known by the folder it works in, and so is the clone that holds a port.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

STATE, SESSION, TERMINAL, THREADS, STARTED = 0, 3, 4, 17, 19


def stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third one on; none when the process, all its threads, has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[STATE] in "ZX" and int(fields[THREADS]) < 2 else fields


def started(pid: int) -> str:
    """When a living process started, in ticks since the boot."""
    fields = stat(pid)
    return fields[STARTED] if fields else ""


def processes() -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def target(link: Path) -> str:
    """Where a link in /proc leads; nowhere when it is gone or another user's."""
    try:
        return os.readlink(link).removesuffix(" (deleted)")
    except OSError:
        return ""


def strays(home: Path) -> list[int]:
    """Who works in a server's folder; not a person's shell, which has a terminal or is what runs us."""
    inside = [int(entry.name) for entry in processes() if Path(target(entry / "cwd")).is_relative_to(home)]
    found = {pid: fields for pid in inside if (fields := stat(pid))}
    return [pid for pid in found if found[pid][TERMINAL] == "0" and found[pid][SESSION] != str(os.getsid(0))]


def listener(number: int) -> Path | None:
    """The process that listens on a port, when this user may see it."""
    rows = [row.split() for table in Path("/proc/net").glob("tcp*") for row in table.read_text().splitlines()]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and row[1].endswith(f":{number:04X}")}
    for entry in processes():
        with suppress(OSError):
            if any(target(file) in sockets for file in (entry / "fd").iterdir()):
                return entry
    return None
