"""Whether what is about to land would break a reader of events: `waypost schema check`, against what was there before."""

from __future__ import annotations

import subprocess

from messages import say
from places import ROOT
from programs import build, run


def check_schemas() -> None:
    """Against the commit that this one comes from: where the upstream branch is, or else the one before."""
    binary = str(build())
    run([binary, "schema", "check"])
    head, upstream = commit("HEAD"), commit("@{upstream}") or commit("origin/HEAD")
    base = git("merge-base", "HEAD", upstream) if upstream else ""
    base = base if base and base != head else commit("HEAD^")
    if not base:
        return say("not compared with what was there before, because git knows no earlier commit here")
    run([binary, "schema", "check", "--against", base])


def commit(name: str) -> str:
    return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")


def git(*arguments: str) -> str:
    """Nothing where there is no git, no repository, or no such commit."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
