"""The CloudFormation template: what cfn-lint says of it. cfn-lint comes with LocalStack, in the same venv."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from localstack import VENV
from messages import Failure
from programs import build, run


def check_template() -> None:
    VENV.make()
    command = [str(build()), "topology", "export", "--format", "cloudformation"]
    exported = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if exported.returncode:
        raise Failure(f"{' '.join(command)} failed")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "template.json")
        file.write_bytes(exported.stdout)
        run([str(VENV.python.with_name("cfn-lint")), str(file)])
