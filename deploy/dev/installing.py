"""What the machine must have, and how apt installs what is missing.

Nothing is installed that is found already or that nobody asked for: each server says what it needs. No package may
start a server: it could take a port that we need.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from messages import Failure, timed


@dataclass(frozen=True)
class Need:
    """What must be there, in which packages it is, how to look for it."""

    what: str
    packages: str
    find: Callable[[], object]


C_COMPILER = Need("a C compiler", "gcc libc6-dev", lambda: shutil.which("cc"))
# With it tests make the certificates of servers of their own.
OPENSSL = Need("openssl", "openssl", lambda: shutil.which("openssl"))
# The packages would start servers, on ports that we may need: policy-rc.d keeps them from it.
APT = r"""set -e; export DEBIAN_FRONTEND=noninteractive; policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] || grep -q waypost $policy; then
  trap 'rm -f $policy' EXIT; trap 'exit 130' INT TERM
  printf '#!/bin/sh\n# here while waypost installs\nexit 101\n' >$policy; chmod 755 $policy
fi
apt-get -qq update
apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" """


def install_missing(needs: Iterable[Need]) -> None:
    missing = [need for need in dict.fromkeys(needs) if not need.find()]
    if not missing:
        return
    names, packages = ", ".join(need.what for need in missing), " ".join(need.packages for need in missing)
    sudo = [] if os.getuid() == 0 else ["sudo"]
    with timed(f"installing {packages} with apt, for {names}"):
        command = [*sudo, "sh", "-c", APT, "apt", *packages.split()]
        if not all(map(shutil.which, ["apt-get", *sudo])) or subprocess.call(command, stdout=sys.stderr):
            raise Failure(f"{names} missing and not installed: as root, run `apt-get install {packages}`")
    importlib.invalidate_caches()
    if still := [need.what for need in missing if not need.find()]:
        raise Failure(f"not found, though {packages} are installed: {', '.join(still)}")
