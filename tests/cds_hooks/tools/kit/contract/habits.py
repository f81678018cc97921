"""The habits of the good server: which fault is planted at the moment, and what several of its parts need."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

Json = dict[str, Any]
Change = Callable[[Any], Any]

PREFETCH = {
    "patient": "Patient/{{context.patientId}}",
    "conditions": "Condition?patient={{context.patientId}}&_count=50",
}


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass
class Habits:
    """`fault` is the habit planted at the moment, `on_discovery` and `on_response` change documents.

    `seen` holds what the server has to remember: hookInstances, uuids of cards.
    """

    base: str = ""
    token: str = ""
    signed: bool = False
    """Whether tokens are checked as signed ones; else `token` is compared as a whole."""
    fault: str = ""
    on_discovery: Change = lambda document: document
    on_response: Change = lambda document: document
    seen: set[str] = field(default_factory=set)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=180, trust_env=False))

    def heal(self) -> None:
        """Takes the planted fault out."""
        self.fault, self.token, self.signed = "", "", False
        self.on_discovery = self.on_response = lambda document: document
        self.seen.clear()

    def has(self, *faults: str) -> bool:
        """Whether one of these habits is planted."""
        return self.fault in faults


def is_outcome(value: Any) -> bool:
    """Whether this is an OperationOutcome."""
    return isinstance(value, dict) and value.get("resourceType") == "OperationOutcome"


def resources(value: Any) -> Iterator[Json]:
    """The resources of a Bundle, or the one; no OperationOutcomes."""
    if isinstance(value, dict) and value.get("resourceType") == "Bundle":
        entries = value.get("entry")
        for entry in entries if isinstance(entries, list) else []:
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(resource, dict) and not is_outcome(resource):
                yield resource
    elif isinstance(value, dict) and not is_outcome(value):
        yield value
