"""The commands of ./dev: each one's docstring is its help.

A command only puts the other modules together. Data (`env`, `status --json`, what `demo`, `chaos` and `bench` print)
goes to stdout; a command that returns a number ends with it as exit code, as those three do.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
from contextlib import ExitStack
from pathlib import Path

from benching import check_bench, measures_nothing, run_bench, tell_bench
from chaos import SEED_OF_TESTS, check_chaos, run_chaos
from checks import run_lints, steps
from compose import ADMINER, APIS, MAILS, check_compose, write_compose
from compose import infra as compose_infra
from containers import compose_down, compose_up
from fuzzing import fuzz_targets
from installing import OPENSSL, install_missing
from messages import UsageError, say
from places import (
    AUTH_SERVICE,
    HOST,
    OWN_VARIABLES,
    POSTGRES_SERVERS,
    PRODUCT_SERVICE,
    ROOT,
    Bus,
    environment,
    folders,
    here,
    remember_bus,
    remembered_bus,
    shared_by_instances,
    state,
    test_environment,
)
from postgres import pg_bin
from programs import build, cargo, foreground, run
from query_data import describe_queries
from schema_check import check_schemas
from servers import borrowed_infra, known, leave, services, start_infra
from supervision import locked, record_of, running, start, stop_all
from template import check_template
from venvs import SDK

TRAVEL = {Bus.EMBEDDED: "events travel in PostgreSQL", Bus.LOCALSTACK: "events travel through SNS and SQS"}


def demo(options: argparse.Namespace) -> int:
    """run `waypost demo`, with its arguments: in PostgreSQL alone, or with --localstack on SNS and SQS"""
    bus = Bus.LOCALSTACK if "--localstack" in options.rest else Bus.EMBEDDED
    with borrowed_infra(bus):
        return foreground([str(build()), "demo", *options.rest], environment(bus) | shared_by_instances(bus))


def chaos(options: argparse.Namespace) -> int:
    """kill processes and servers at random while events pass, and prove that none was lost or applied twice"""
    return run_chaos(*options.rest)


def bench(options: argparse.Namespace) -> int:
    """measure Waypost beside the least that could do the same, all or what is named; with --json for programs"""
    return tell_bench(options.rest) if measures_nothing(options.rest) else run_bench(options.rest)


def test(options: argparse.Namespace) -> None:
    """run all checks and tests, as CI does"""
    with steps() as step, ExitStack() as stack:
        run_lints(step, options)
        step("infrastructure", lambda: stack.enter_context(borrowed_infra(Bus.LOCALSTACK)))
        step("openssl", lambda: install_missing([OPENSSL]))
        step("cloudevents sdk", SDK.make)
        step("query data", lambda: describe_queries(check=True))
        step("schemas", check_schemas)
        step("template", check_template)
        step("tests", lambda: cargo("test --workspace --locked"))
        step("chaos", lambda: check_chaos("--seed", SEED_OF_TESTS))
        step("chaos, any seed", check_chaos)
        step("bench, small", check_bench)


def up(options: argparse.Namespace) -> None:
    """start the stack, bring it up to date, or switch it to the other bus"""
    if options.docker:
        return up_docker(options)
    bus = Bus.LOCALSTACK if options.localstack else Bus.EMBEDDED
    start_infra(bus)
    if options.infra and options.localstack:
        SDK.make()  # what only tests need is made where people ask for what tests need
    binary = Path() if options.infra else build()
    leave(remembered_bus() or bus, bus)
    remember_bus(bus)
    if not options.infra:
        run([str(binary), "migrate"], environment(bus))
        run([str(binary), "topology", "apply"], environment(bus))
        make_keys(binary)
        with locked(state("lock")):
            start(services(bus, binary))
    say(f"\nUp, with data and logs in {state()}; {TRAVEL[bus]}:")
    for server in filter(lambda server: running(server.name), known(bus)):
        say(f"  {server.title:<20} {HOST}:{server.port}")
    psql, query = shlex.quote(str(pg_bin() / "psql")), "'SELECT user_id, email, status FROM user_profiles'"
    profiles = f'{psql} "$USER_DATABASE_URL" -c {query}'
    dead_letters = f"{shlex.quote(str(binary))} dlq list"
    catalogue = shlex.quote(str(ROOT / "producers/product-service/examples/catalogue.csv"))
    fill = f"{shlex.quote(str(binary))} products import {catalogue}"
    products = f"curl 'http://{here(PRODUCT_SERVICE.place)}/v1/products?q=darjeeling'"
    using = [registration(here(AUTH_SERVICE.place)), profiles, fill, products, "./dev logs user-worker -f", dead_letters]
    try_next('eval "$(./dev env)"', *([] if options.infra else using), "./dev status", "./dev down")


def make_keys(binary: Path) -> None:
    """Makes the keys that services start with. Those that are there stay: to rotate them is for people."""
    named = folders()
    if not list(Path(named["MAILER_KEYS_DIR"]).glob("*.key")):
        run([str(binary), "keys", "mailer", "rotate"], named)


def up_docker(options: argparse.Namespace) -> None:
    if options.localstack:
        raise UsageError("--docker and --localstack exclude each other: the containers have LocalStack anyway")
    compose_up(compose_infra() if options.infra else ())
    bus = os.environ.get("EVENT_PUBLISHER_TYPE") or Bus.LOCALSTACK.value
    say(f"\nUp, in containers, with EVENT_PUBLISHER_TYPE={bus}:")
    if not options.infra:
        for api in APIS:
            say(f"  {api.name:<20} http://{HOST}:{api.base_port}")
    say(f"  {'Mailpit':<20} http://{HOST}:{MAILS.base_port}, with every mail that was written")
    say(f"  {'Adminer':<20} http://{HOST}:{ADMINER.base_port}, as <name>_user with <name>_pass:")
    for database in (database for server in POSTGRES_SERVERS for database in server.databases):
        account = f"pgsql={database.place.host}&username={database.name}_user&db={database.name}_db"
        say(f"  {database.name + '_db':<20} http://{HOST}:{ADMINER.base_port}/?{account}")
    using = [registration(f"{HOST}:{AUTH_SERVICE.base_port}"), "docker compose logs --follow user-worker"]
    scale = "docker compose up --detach --scale user-worker=4"
    try_next(*([] if options.infra else [*using, scale]), "docker compose ps --all", "./dev down --docker")


def registration(address: str) -> str:
    body = '{"email": "ada@example.org", "password": "correct horse battery staple"}'
    return f"curl -i http://{address}/v1/auth/register -H 'content-type: application/json' -d '{body}'"


def try_next(*commands: str) -> None:
    """Commands that work as they are printed, wherever this one was typed."""
    given = [f"{name}={shlex.quote(os.environ[name])}" for name in OWN_VARIABLES if os.environ.get(name)]
    before = [f"export {' '.join(given)}"] if given else []
    before += [f"cd {shlex.quote(str(ROOT))}"] if Path.cwd() != ROOT else []
    say("\n  ".join(["\nTry next:", *before, *commands]))


def down(options: argparse.Namespace) -> None:
    """stop what runs"""
    if options.docker:
        compose_down(options.wipe)
        return say(f"all containers stopped; their volumes are {'removed' if options.wipe else 'kept'}")
    if not state("waypost-clone").exists():
        return say("nothing to stop: this clone has no state folder")
    names = [server.name for server in known(Bus.LOCALSTACK)]
    stop_all([*names, *(file.stem for file in state("run").glob("*.json") if file.stem not in names)])
    state("bus").unlink(missing_ok=True)
    if options.wipe:
        shutil.rmtree(state())
    say(f"all stopped; {'removed' if options.wipe else 'data and logs stay in'} {state()}")


def status(options: argparse.Namespace) -> None:
    """tell what runs where"""
    bus = remembered_bus() or Bus.EMBEDDED
    rows = []
    for server in known(bus):
        live = running(server.name)
        how = ("ready" if server.ready() else "not ready") if live else "died" if record_of(server.name) else "stopped"
        place = {key: live.get(key) for key in ("pid", "port", "since")}
        rows.append({"name": server.name, "state": how, **place, "port": live.get("port", server.port)})
    if options.json:
        return print(json.dumps(rows))
    for row in ({key: key.upper() for key in rows[0]}, *rows):
        say("{:<14} {:<10} {:>8} {:>6}  {}".format(*(value or "-" for value in row.values())))
    if remembered_bus():
        say(TRAVEL[bus])


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
    for name, value in test_environment(remembered_bus() or Bus.EMBEDDED).items():
        print(f"export {name}='{value}'")


def lint(options: argparse.Namespace) -> None:
    """run the checks that need no servers"""
    with steps() as step:
        run_lints(step, options)


def fuzz(options: argparse.Namespace) -> None:
    """look for bytes that break what reads those of strangers: all targets, or those that are named"""
    fuzz_targets(options.targets, options.seconds, options.install)


def sqlx(options: argparse.Namespace) -> None:
    """refresh .sqlx, the offline query data"""
    with borrowed_infra(Bus.EMBEDDED):
        describe_queries(options.check)


def compose(options: argparse.Namespace) -> None:
    """write compose.yaml from the tables"""
    check_compose() if options.check else write_compose()
