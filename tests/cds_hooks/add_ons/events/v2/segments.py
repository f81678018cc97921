"""Segments of HL7 v2 by the numbers of their fields."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from cds_hooks.add_ons.events.declaration import V2Feed
from cds_hooks.add_ons.events.v2.message import Message, parse_message

SOUTH = V2Feed(name="lab", authority="SOUTH", zone=ZoneInfo("UTC"))


def made(kind: str, *segments: tuple[str, Mapping[int, str]], header: Mapping[int, str] | None = None) -> Message:
    """A message of this type (MSH-9) with these segments."""
    first = {3: "LAB", 4: "SOUTH", 7: "20261120120000+0000", 9: kind, 10: "C1", 11: "P", 12: "2.5.1"} | dict(
        header or {}
    )
    lines = ["MSH|^~\\&|" + "|".join(first.get(number, "") for number in range(3, 13))]
    lines += [
        "|".join([name, *(fields.get(number, "") for number in range(1, max(fields, default=0) + 1))])
        for name, fields in segments
    ]
    return parse_message("\r".join(lines) + "\r")
