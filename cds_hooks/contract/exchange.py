"""One request and its answer, as the checks see them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from cds_hooks.contract.finding import Fault
from cds_hooks.contract.strict_json import Document, read_json

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


class Purpose(StrEnum):
    """What a request was for."""

    DISCOVERY = "discovery"
    CALL = "call"
    FEEDBACK = "feedback"
    OTHER = "other"


@dataclass(frozen=True)
class Exchange:
    """A request in words (`what`), what kind of answer a good server gives it, and the answer that came.

    `status` is 0 and `failure` says why where no HTTP answer came. `seconds` is the time to the last byte.
    """

    what: str
    purpose: Purpose
    broken: bool
    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    failure: str = ""
    patient: str = ""

    @property
    def name(self) -> str:
        """The request as a finding names it."""
        return f"{self.method} {self.path}: {self.what}"

    @property
    def ok(self) -> bool:
        """Whether the answer says success."""
        return 200 <= self.status < 300

    @cached_property
    def document(self) -> Document:
        """The answer's body, read as strict JSON."""
        return read_json(self.body)

    @property
    def cards(self) -> list[Any] | None:
        """The cards of a 200; None where there is no such array."""
        value = self.document.value
        cards = value.get("cards") if self.status == 200 and isinstance(value, dict) else None
        return cards if isinstance(cards, list) else None

    @property
    def said(self) -> Any:
        """What the cards say, for comparing two answers: without uuids, and without extension (it may hold a time)."""
        text = _UUID.sub("uuid", json.dumps(self.cards))
        return json.loads(text, object_hook=_without_extension)

    @property
    def answer(self) -> str:
        """The answer in a few words: the status and what the server says about it."""
        if not self.status:
            return f"no answer ({self.failure})"
        return f"answered {self.status}{self._said()}"

    def _said(self) -> str:
        value = self.document.value
        issues = value.get("issue") if isinstance(value, dict) else None
        issue = issues[0] if isinstance(issues, list) and issues and isinstance(issues[0], dict) else {}
        details = issue.get("details")
        text = issue.get("diagnostics") or (details.get("text") if isinstance(details, dict) else None)
        return f" ({str(text)[:100]})" if text else ""

    def fault(self, found: str, place: str = "") -> Fault:
        """A fault in the answer to this request."""
        return Fault(found, place, self.name)


def _without_extension(value: dict[str, Any]) -> dict[str, Any]:
    return {name: member for name, member in value.items() if name not in ("uuid", "extension")}
