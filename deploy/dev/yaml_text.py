"""YAML for people to read, as far as compose.yaml needs it.

A dict is a block, a list a block of items, a tuple a list on one line. What YAML has beyond data is said by keys: one
that begins with "#" is a comment, `x-name` can be merged elsewhere, the value of `<<` is the name of what is merged.
"""

from __future__ import annotations

import json
import re
from typing import Any

PLAIN = re.compile(r"[A-Za-z./]([\w./@:-]*[\w./])?|[0-9]+s")
NOT_STRINGS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")


def yaml_text(sections: dict[str, Any]) -> str:
    """Sections are set apart by empty lines, and so is what is in them where all of that are blocks again."""
    return "\n\n".join("\n".join(lines({key: value}, apart=True)) for key, value in sections.items()) + "\n"


def lines(block: dict[str, Any], apart: bool = False) -> list[str]:
    found: list[str] = []
    for key, value in block.items():
        if key.startswith("#"):
            found += key.splitlines()
        elif key == "<<":
            found.append(f"<<: *{value}")
        else:
            anchor = f" &{key.removeprefix('x-')}" if key.startswith("x-") else ""
            found += entry(f"{key}:{anchor}", value, apart)
    return found


def entry(key: str, value: Any, apart: bool) -> list[str]:
    if isinstance(value, dict):
        if apart and all(value.values()) and all(isinstance(inner, dict) for inner in value.values()):
            parts = ["\n".join(indented(lines({name: inner}))) for name, inner in value.items()]
            return [key, "\n\n".join(parts)]
        return [key, *indented(lines(value))] if value else [f"{key} {{}}"]
    if isinstance(value, list):
        return [key, *indented([f"- {scalar(item)}" for item in value])]
    if isinstance(value, tuple):
        return [f"{key} [{', '.join(map(json.dumps, value))}]"]
    return [f"{key} {scalar(value)}"]


def indented(inner: list[str]) -> list[str]:
    return [f"  {line}" for line in inner]


def scalar(value: str | int) -> str:
    """Quoted, unless nobody could take it for anything but a string."""
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in NOT_STRINGS:
        return value
    return json.dumps(value, ensure_ascii=False)
