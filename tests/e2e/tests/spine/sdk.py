"""Has the CloudEvents project's own SDK write an event from its parts, or read one into them, as JSON on stdin and stdout."""

import json
import sys

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from dateutil.parser import isoparse


def write(parts: dict) -> str:
    attributes, data = parts["attributes"], parts["data"]
    if "time" in attributes:
        attributes["time"] = isoparse(attributes["time"])
    if parts["as_bytes"]:
        data = json.dumps(data).encode()
    return JSONFormat().write(CloudEvent(attributes, data)).decode()


def read(body: str) -> str:
    event = JSONFormat().read(None, body)
    attributes = {name: value for name, value in event.get_attributes().items() if name != "time"}
    return json.dumps({"attributes": attributes, "time": event.get_time().isoformat(), "data": event.get_data()})


given = sys.stdin.read()
print(read(given) if sys.argv[1] == "read" else write(json.loads(given)))
