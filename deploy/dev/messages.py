"""What people are told, and how a command fails.

Text for people goes to stderr, because stdout is for data. What a person must know to go on is a Failure: it ends the
command with its exit code, 1 for what failed and 2 for wrong usage, and never shows a traceback.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Failure(Exception):
    """What a person must know: what is wrong, and what to do about it."""

    code = 1


class UsageError(Failure):
    code = 2


def say(text: str) -> None:
    with suppress(OSError):  # a terminal that was closed keeps nobody from cleaning up
        print(text, file=sys.stderr, flush=True)


@contextmanager
def timed(text: str) -> Iterator[None]:
    say(f"{text} …")
    begun = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - begun:.1f} s")
