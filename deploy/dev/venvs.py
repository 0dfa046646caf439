"""What is installed from Python packages: each in a venv of pinned packages that all clones share.

The file `complete` in a venv says which packages it has; it is written last, so that an interrupted installation is
done again.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from installing import Need
from messages import timed
from places import CLOUDEVENTS_SDK, venv_python
from programs import run
from supervision import locked

NEED = Need("Python's venv", "python3-venv", lambda: importlib.util.find_spec("ensurepip"))


@dataclass(frozen=True)
class Venv:
    """`name` is that of its folder; a new version goes into a new one."""

    name: str
    title: str
    packages: str
    check: Callable[[], None] = lambda: None

    @property
    def python(self) -> Path:
        return venv_python(self.name)

    def make(self) -> None:
        folder = self.python.parents[1]
        complete = folder / "complete"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f"{folder.name}.lock")):
            if self.python.exists() and complete.exists() and complete.read_text() == self.packages:
                return
            self.check()
            with timed(f"installing {self.title} into {folder}, once for all clones"):
                run([sys.executable, "-m", "venv", "--clear", str(folder)])
                run([str(self.python), "-m", "pip", "install", "--quiet", *self.packages.split()])
            complete.write_text(self.packages)


# Tests have it write and read events: it is what others who speak CloudEvents use.
SDK = Venv(
    name=CLOUDEVENTS_SDK,
    title="the CloudEvents SDK",
    packages="cloudevents==2.2.0 deprecation==2.1.0 packaging==26.3 python-dateutil==4.0.0 tzdata==2026.6",
)
