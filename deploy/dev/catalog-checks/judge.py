"""Schemas and examples before an engine of JSON Schema that is not the tests' own: Python's `jsonschema`.

    python judge.py <root of the sources>

Schemas must be valid by the meta-schema of their draft, valid examples be accepted and invalid ones refused: those
beside the schemas, those in the catalog, and whole messages by the AsyncAPI document.
"""

from __future__ import annotations

import datetime
import json
import re
import sys
from pathlib import Path

from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker

FORMATS = FormatChecker(["uuid"])  # an address is judged by its pattern
INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@FORMATS.checks("date-time")
def is_instant(text: object) -> bool:
    found = INSTANT.fullmatch(text) if isinstance(text, str) else None
    try:
        return not isinstance(text, str) or bool(found and datetime.date.fromisoformat(found[1]))
    except ValueError:
        return False


def read(file: Path) -> object:
    return json.loads(file.read_text(encoding="utf-8"))


def judge(root: Path) -> tuple[dict[str, int], list[str]]:
    counts = dict.fromkeys(("schemas", "valid examples", "invalid examples", "messages"), 0)
    wrong: list[str] = []

    def expect(validator: Draft202012Validator | Draft7Validator, data: object, valid: bool, place: object) -> None:
        error = next(validator.iter_errors(data), None)
        if (error is None) != valid:
            said = f"refused at {error.json_path} by `{error.validator}`" if error else "accepted"
            wrong.append(f"{place}: {said}")

    for file in sorted((root / "schemas/golden").glob("*/v*.json")):
        schema = read(file)
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema, format_checker=FORMATS)
        counts["schemas"] += 1
        for example in sorted((root / "schemas/examples" / file.parent.name / file.stem).glob("*/*.json")):
            valid = example.parent.name == "valid"
            expect(validator, read(example), valid, example.relative_to(root))
            counts["valid examples" if valid else "invalid examples"] += 1

    for file in sorted((root / "event-catalog").rglob("schema.json")):
        validator = Draft202012Validator(read(file), format_checker=FORMATS)
        for example in sorted(file.parent.glob("examples/*.json")):
            expect(validator, read(example), True, example.relative_to(root))
            counts["valid examples"] += 1

    document = read(root / "event-catalog/asyncapi.json")
    for schema in document["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)
    for name, message in document["components"]["messages"].items():
        # In draft-07, nothing beside a `$ref` counts.
        payload = {"allOf": [{"$ref": f"#/components/messages/{name}/payload"}], "components": document["components"]}
        validator = Draft7Validator(payload, format_checker=FORMATS)
        for example in message["examples"]:
            expect(validator, example["payload"], True, f"asyncapi.json: {name}: {example['name']}")
            counts["messages"] += 1
    return counts, wrong


def main() -> int:
    counts, wrong = judge(Path(sys.argv[1]))
    for line in wrong:
        print(line, file=sys.stderr)
    if empty := [what for what, count in counts.items() if not count]:
        print(f"there were no {', '.join(empty)} to look at", file=sys.stderr)
    told = ", ".join(f"{count} {what}" for what, count in counts.items())
    print(f"looked at {told}: {len(wrong)} not as they should be", file=sys.stderr)
    return 1 if wrong or empty else 0


if __name__ == "__main__":
    sys.exit(main())
