"""The proof under faults: `chaos`, in tests/chaos, which has servers of its own started by another ./dev.

`./dev test` runs it with a seed that stays, so that a change shows, and with one at random, so that in time all do; it
says which, and how to run that one again.
"""

from __future__ import annotations

import os

from messages import Failure
from programs import build_all, foreground

SEED_OF_TESTS = "1"


def run_chaos(*arguments: str) -> int:
    _waypost, chaos = build_all("waypost", "chaos")  # it looks for the first beside itself
    return foreground([str(chaos), *arguments], os.environ)


def check_chaos(*seed: str) -> None:
    if run_chaos("--events", "2000", "--kills", "5", "--json", *seed):
        raise Failure("a promise was not kept under faults, or the run failed")
