"""The stack in containers: what runs compose.yaml, and whether it can be run.

Nothing in ./dev touches Docker but what is told `--docker`. Containers use the ports that `./dev up` uses without an
offset, so only one of the two can be up.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection

from compose import ADMINER, APIS, FILE
from installing import Need, install_missing
from messages import Failure, say
from places import LOCALSTACK, POSTGRES_SERVERS, REDIS, Bus
from programs import foreground, run
from servers import known
from supervision import running

PLUGIN = ["docker", "compose"]
PROJECT = ["--file", str(FILE), "--project-directory", str(FILE.parent)]
# Profiles hide services from every command.
EVERY_PROFILE = {"COMPOSE_PROFILES": "relay"}


def works(*command: str) -> bool:
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def require_docker() -> None:
    if not shutil.which("docker"):
        missing = "there is no docker on PATH"
    elif not works("docker", "info"):
        missing = "no Docker engine answers: `docker info` says why"
    elif not works(*PLUGIN, "version"):
        missing = "Docker has no compose plugin: `docker compose version` fails"
    else:
        return
    raise Failure(f"{missing}\n  --docker needs Docker's engine and its compose plugin; `./dev up` needs no Docker")


def require_ports() -> None:
    places = [REDIS, LOCALSTACK, ADMINER, *(api.place for api in APIS), *(server.place for server in POSTGRES_SERVERS)]
    ports = [place.base_port for place in places]
    if taken := [server.name for server in known(Bus.LOCALSTACK) if running(server.name).get("port") in ports]:
        raise Failure(f"containers need the ports of what ./dev up started ({', '.join(taken)}): run ./dev down first")


def compose_up(services: Collection[str] = ()) -> None:
    """Builds the image, starts these services or all, and waits until they are healthy."""
    require_docker()
    require_ports()
    if foreground([*PLUGIN, *PROJECT, "up", "--build", "--detach", "--wait", *services], os.environ):
        raise Failure("not everything came up: `docker compose ps --all` and `docker compose logs <service>` tell more")


def compose_down(wipe: bool) -> None:
    require_docker()
    run([*PLUGIN, *PROJECT, "down", *(["--volumes"] if wipe else [])], EVERY_PROFILE)


def compose_command() -> list[str]:
    """What reads compose.yaml here, without an engine; nothing when there is neither plugin nor docker-compose."""
    return next((command for command in (PLUGIN, ["docker-compose"]) if works(*command, "version")), [])


COMPOSE = Need("docker-compose", "docker-compose", compose_command)


def validate_compose(install: bool) -> None:
    if not compose_command() and not (install and shutil.which("apt-get")):
        return say("not validated, because there is neither `docker compose` nor docker-compose; --install gets one")
    install_missing([COMPOSE])
    run([*compose_command(), *PROJECT, "config", "--quiet"], EVERY_PROFILE)
    say(f"{FILE.name} is valid, says `{' '.join(compose_command())}`")
