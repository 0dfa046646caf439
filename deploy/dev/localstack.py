"""LocalStack: how it is installed, its server.

It is installed from pinned packages into a venv that all clones share, which is called after what it has: a clone that
needs other packages leaves it alone. The file `complete` in the venv is written last, so that an interrupted installation
is done again. CloudFormation needs the last two packages, and `./dev test` runs cfn-lint from there.
It must listen on loopback only, but takes no more than the port from GATEWAY_LISTEN and listens on all addresses. So
LAUNCHER binds its endpoints to loopback before it runs it, in one process without its supervisor.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import sys
from pathlib import Path

from installing import Need
from messages import Failure, timed
from places import HOST, LOCALSTACK, port, state
from programs import run
from supervision import Server, answers, locked

VERSION = "4.12.0"
PACKAGES = f"""localstack-core[base-runtime]=={VERSION} moto-ext cbor2==5.7.1 pyopenssl==25.1.0 cryptography==45.0.7
    service-identity==24.2.0 cfn-lint==1.58.0 aws-sam-translator==1.115.0 jsonpath-ng==1.16.0"""
# compose.yaml has version and settings, too.
SETTINGS = {
    # For tests of the template: what it makes beside topics and queues.
    "SERVICES": "sns,sqs,cloudformation,cloudwatch,iam",
    "DISABLE_EVENTS": "1",
    "SKIP_SSL_CERT_DOWNLOAD": "1",
    "DNS_ADDRESS": "0",
}
VENV = Need("Python's venv", "python3-venv", lambda: importlib.util.find_spec("ensurepip"))
LAUNCHER = "; ".join(
    (
        "import functools",
        "from twisted.internet import endpoints",
        f"endpoints.TCP4ServerEndpoint = functools.partial(endpoints.TCP4ServerEndpoint, interface='{HOST}')",
        "from localstack.runtime.main import main",
        "main()",
    )
)


def localstack_venv() -> Path:
    """Shared by all clones that need the same; one for each version of Python, which it does not outlive."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    content = hashlib.sha256(" ".join(PACKAGES.split()).encode()).hexdigest()[:8]
    return cache / "waypost" / f"localstack-{VERSION}-{content}-py{sys.version_info.major}.{sys.version_info.minor}"


def make_localstack() -> None:
    venv = localstack_venv()
    complete, python = venv / "complete", venv / "bin/python"
    venv.parent.mkdir(parents=True, exist_ok=True)
    with locked(venv.with_name(f"{venv.name}.lock")):
        if python.exists() and complete.exists() and complete.read_text() == PACKAGES:
            return
        if not (3, 10) <= sys.version_info < (3, 14):
            version = sys.version.split()[0]
            raise Failure(f"LocalStack needs Python 3.10 to 3.13, and this is {version}: run `python3.13 ./dev …`")
        with timed(f"installing LocalStack into {venv}, once for all clones: about a minute"):
            run([sys.executable, "-m", "venv", "--clear", str(venv)])
            run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES.split()])
        complete.write_text(PACKAGES)


def localstack() -> Server:
    number = port(LOCALSTACK.base_port)
    places = {"FILESYSTEM_ROOT": str(state("localstack")), "GATEWAY_LISTEN": f"{HOST}:{number}"}
    return Server(
        name="localstack",
        title="LocalStack",
        port=number,
        command=[str(localstack_venv() / "bin/python"), "-I", "-c", LAUNCHER],
        ready=lambda: answers(number, "/_localstack/health"),
        needs=(VENV,),
        prepare=make_localstack,
        variables=SETTINGS | places,
        stop_signal=signal.SIGKILL,  # it has nothing to save, and SIGTERM while it starts makes it hang
        patience=180,
    )
