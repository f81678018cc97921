"""Which segments of which messages are read, for whom, with which time, and what is counted of the whole message."""

from collections.abc import Mapping
from datetime import UTC, datetime

from cds_hooks.events.declaration import V2Feed
from cds_hooks.events.facts import Effects
from cds_hooks.events.v2.intake import effects_of
from tests.cds_hooks.events.v2.segments import SOUTH, made

Fields = Mapping[int, str]
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
PID: Fields = {3: "500^^^SOUTH^MR"}
PV1: Fields = {2: "I", 3: "W1^101", 19: "V1"}


def read(
    kind: str, *segments: tuple[str, Fields], header: Fields | None = None, feed: V2Feed = SOUTH, now: float = NOON
) -> Effects:
    return effects_of(made(kind, *segments, header=header), feed, now)


def test_the_trigger_is_that_of_evn_where_the_header_has_none() -> None:
    effects = read("ADT", ("EVN", {1: "A05"}), ("PID", PID), ("PV1", PV1))
    assert [fact.resource["status"] for fact in effects.facts if fact.type == "Encounter"] == ["planned"]
