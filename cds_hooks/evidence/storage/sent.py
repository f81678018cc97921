"""Reads the answer of a decision on record: its cards as they were sent, whatever the client's version of CDS Hooks.

Everybody who asks the record about a card asks here.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from cards.card import Coding, Indicator, Link, Source
from cards.extension import EXTENSION_KEY, NO_EXTENSION, CardExtension, WorklistEntry


class SentAction(Struct, frozen=True):
    """What accepting a suggestion does; up to CDS Hooks 1.1 a delete has its reference as its resource (ACT-06)."""

    resource: dict[str, Any] | str | None = None


class SentSuggestion(Struct, frozen=True, rename="camel"):
    """What could be accepted on the card."""

    label: str = ""
    is_recommended: bool = False
    uuid: str = ""
    actions: tuple[SentAction, ...] = ()


class _CardExtension(Struct, frozen=True, rename={"ours": EXTENSION_KEY}):
    ours: CardExtension = NO_EXTENSION


class SentCard(Struct, frozen=True, rename="camel"):
    """A card as it was sent; a client of CDS Hooks 1.0 is sent one without uuid and reasons to override."""

    summary: str = ""
    indicator: Indicator = "info"
    source: Source = Source(label="")
    uuid: str = ""
    detail: str = ""
    suggestions: tuple[SentSuggestion, ...] = ()
    links: tuple[Link, ...] = ()
    override_reasons: tuple[Coding, ...] = ()
    extension: _CardExtension = _CardExtension()

    @property
    def own_extension(self) -> CardExtension:
        """What this project says on the card beyond the protocol."""
        return self.extension.ours

    @property
    def rules(self) -> set[str]:
        """The rules whose findings are on the card."""
        return {finding.rule for finding in self.own_extension.findings}


class SentExtension(Struct, frozen=True):
    """What this project says on a response beyond the protocol, as far as the record is asked for it."""

    version: int = 1
    worklist: tuple[WorklistEntry, ...] = ()


class _ResponseExtension(Struct, frozen=True, rename={"ours": EXTENSION_KEY}):
    ours: SentExtension = SentExtension()


class SentResponse(Struct, frozen=True):
    """The answer to a call."""

    cards: tuple[SentCard, ...]
    extension: _ResponseExtension = _ResponseExtension()


_decode: Final = msgspec.json.Decoder(SentResponse).decode
_ERROR: Final = b'{"resourceType":"OperationOutcome"'


def read_response(response: bytes) -> SentResponse:
    """Return the answer that a decision recorded, without cards where it is an error.

    Raises:
        msgspec.DecodeError: The record has another form.
    """
    return SentResponse(()) if response.startswith(_ERROR) else _decode(response)
