"""The commands of ./dev: each one's docstring is its help.

A command only puts the other modules together. Data (`env`, `status --json`, what the demo prints) goes to stdout; a
command that returns a number ends with it as exit code, as `demo` does.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
from contextlib import ExitStack

from checks import run_lints, steps
from messages import UsageError, say
from places import HOST, environment, state
from programs import build, cargo, foreground, run
from query_data import describe_queries
from servers import borrowed_infra, infra, services, start_infra
from supervision import locked, record_of, running, start, stop_all


def demo(options: argparse.Namespace) -> int:
    """run `waypost demo`, with its arguments"""
    with borrowed_infra():
        return foreground([str(build()), "demo", *options.rest], environment())


def test(options: argparse.Namespace) -> None:
    """run all checks and tests, as CI does"""
    with steps() as step, ExitStack() as stack:
        run_lints(step, options)
        step("infrastructure", lambda: stack.enter_context(borrowed_infra()))
        step("query data", lambda: describe_queries(check=True))
        step("tests", lambda: cargo("test --workspace --locked"))


def up(options: argparse.Namespace) -> None:
    """start the stack, or bring it up to date"""
    start_infra()
    if not options.infra:
        binary = build()
        run([str(binary), "migrate"], environment())
        run([str(binary), "topology", "apply"], environment())
        with locked(state("lock")):
            start(services(binary))
    say(f"\nUp, with data and logs in {state()}:")
    for server in filter(lambda server: running(server.name), [*infra(), *services()]):
        say(f"  {server.title:<16} {HOST}:{server.port}")
    say('\nTry next:\n  eval "$(./dev env)"\n  ./dev status\n  ./dev down')
    if not options.infra:
        body = '{"email": "ada@example.org", "password": "correct horse battery staple"}'
        url = f"{environment()['AUTH_URL']}/v1/auth/register"
        say(f"  curl -i {url} -H 'content-type: application/json' -d '{body}'")
        say(f"  ./dev logs user-worker -f\n  {shlex.quote(str(binary))} dlq list")


def down(options: argparse.Namespace) -> None:
    """stop what runs"""
    if not state("waypost-clone").exists():
        return say("nothing to stop: this clone has no state folder")
    known = [server.name for server in (*infra(), *services())]
    stop_all([*known, *(file.stem for file in state("run").glob("*.json") if file.stem not in known)])
    if options.wipe:
        shutil.rmtree(state())
    say(f"all stopped; {'removed' if options.wipe else 'data and logs stay in'} {state()}")


def status(options: argparse.Namespace) -> None:
    """tell what runs where"""
    rows = []
    for server in (*infra(), *services()):
        live = running(server.name)
        how = ("ready" if server.ready() else "not ready") if live else "died" if record_of(server.name) else "stopped"
        place = {key: live.get(key) for key in ("pid", "port", "since")}
        rows.append({"name": server.name, "state": how, **place, "port": live.get("port", server.port)})
    if options.json:
        return print(json.dumps(rows))
    for row in ({key: key.upper() for key in rows[0]}, *rows):
        say("{:<14} {:<10} {:>8} {:>6}  {}".format(*(value or "-" for value in row.values())))


def logs(options: argparse.Namespace) -> None:
    """print the end of all logs, or of one"""
    files = {file.stem: str(file) for file in sorted(state("logs").glob("*.log"))}
    if options.name and options.name not in files:
        raise UsageError(f"there is no log of {options.name!r}; there are: {', '.join(files) or 'none'}")
    chosen = [files[options.name]] if options.name else list(files.values())
    if not chosen:
        return say("no logs yet: ./dev up makes them")
    os.execvp("tail", ["tail", "-n", "100", *(["-F"] if options.f else []), *chosen])


def env(_options: argparse.Namespace) -> None:
    """print the variables to use the stack by"""
    for name, value in environment().items():
        print(f"export {name}='{value}'")


def lint(options: argparse.Namespace) -> None:
    """run the checks that need no servers"""
    with steps() as step:
        run_lints(step, options)


def sqlx(options: argparse.Namespace) -> None:
    """refresh .sqlx, the offline query data"""
    with borrowed_infra():
        describe_queries(options.check)
