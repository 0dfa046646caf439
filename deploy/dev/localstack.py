"""LocalStack: how it is installed, its server.

It is installed into a venv that is called after what it has: a clone that needs other packages leaves it alone.
CloudFormation needs the last two packages, and `./dev test` runs cfn-lint from there.
It must listen on loopback only, but takes no more than the port from GATEWAY_LISTEN and listens on all addresses. So
LAUNCHER binds its endpoints to loopback before it runs it, in one process without its supervisor.
It also loses messages: deleting one whose lease has run out takes it out of the heap of visible messages without that
heap's lock, and a receive at the same moment fails ("list changed size during iteration") with messages in its hands
that are in no place any more. LAUNCHER has it take the lock. `./dev chaos` found it.
"""

from __future__ import annotations

import hashlib
import signal
import sys

from messages import Failure
from places import HOST, LOCALSTACK, port, state
from supervision import Server, answers
from venvs import NEED, Venv

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
    # Written to a file of SQLite's, which under load is locked, or one file too many: the request then fails.
    "SQS_DISABLE_CLOUDWATCH_METRICS": "1",
}
LAUNCHER = f"""
import functools
from localstack.services.sqs.models import StandardQueue
from twisted.internet import endpoints

unguarded = StandardQueue._on_remove_message

def guarded(queue, message):
    with queue.visible.mutex:
        unguarded(queue, message)

StandardQueue._on_remove_message = guarded
endpoints.TCP4ServerEndpoint = functools.partial(endpoints.TCP4ServerEndpoint, interface={HOST!r})

from localstack.runtime.main import main
main()
"""


def check_python() -> None:
    if not (3, 10) <= sys.version_info < (3, 14):
        version = sys.version.split()[0]
        raise Failure(f"LocalStack needs Python 3.10 to 3.13, and this is {version}: run `python3.13 ./dev …`")


CONTENT = hashlib.sha256(" ".join(PACKAGES.split()).encode()).hexdigest()[:8]
VENV = Venv(f"localstack-{VERSION}-{CONTENT}", "LocalStack (about a minute)", PACKAGES, check_python)


def localstack() -> Server:
    number = port(LOCALSTACK.base_port)
    places = {"FILESYSTEM_ROOT": str(state("localstack")), "GATEWAY_LISTEN": f"{HOST}:{number}"}
    return Server(
        name="localstack",
        title="LocalStack",
        port=number,
        command=[str(VENV.python), "-I", "-c", LAUNCHER],
        ready=lambda: answers(number, "/_localstack/health"),
        needs=(NEED,),
        prepare=VENV.make,
        variables=SETTINGS | places,
        stop_signal=signal.SIGKILL,  # it has nothing to save, and SIGTERM while it starts makes it hang
        patience=180,
    )
