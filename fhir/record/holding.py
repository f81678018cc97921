"""Holds the resources of a record until they are released, and what is kept of them then."""

from collections.abc import Callable
from typing import TypeAlias

from fhir.record.measurement import Refusal
from fhir.record.results import ReadResources

KeepFacts: TypeAlias = Callable[[ReadResources], bytes]
"""Writes what of the resources has been read so far (`kept_facts.py`)."""


class Released:
    """What remains when the resources are gone: the refusals that had been met, and the facts where they are kept."""

    __slots__ = ("kept", "refusals")

    def __init__(self, refusals: tuple[Refusal, ...], kept: bytes) -> None:
        self.refusals, self.kept = refusals, kept


class Holder:
    """Holds the resources until they are released."""

    __slots__ = ("content", "keep")

    def __init__(self, content: ReadResources) -> None:
        self.content: ReadResources | Released = content
        self.keep: KeepFacts | None = None
