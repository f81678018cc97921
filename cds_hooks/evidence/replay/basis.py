"""What a decision recorded of itself beside its answer, as a replay reads it."""

from datetime import datetime
from functools import cached_property
from typing import Any, Final

import msgspec
from msgspec import Raw

from cds_hooks.call.prefetch.facts import OfBasis

_NULL: Final = Raw(b"null")


class Basis(OfBasis, frozen=True, dict=True, kw_only=True):
    """What a decision recorded of itself; scores are compared as they were written, and read when asked for."""

    as_of: datetime
    features: dict[str, tuple[float, str | None, str | None]] = msgspec.field(default_factory=dict)
    """Of each feature its value, when that was, and the resource it is from."""
    scores_as_recorded: Raw = msgspec.field(default=_NULL, name="scores")
    silence: tuple[tuple[str, str, str], ...] = ()
    config: str = ""
    withheld: dict[str, int] = msgspec.field(default_factory=dict)

    @cached_property
    def scores(self) -> dict[str, Any] | None:
        """The scores; None where there are none."""
        scores: dict[str, Any] | None = _scores.decode(self.scores_as_recorded)
        return scores


_scores: Final = msgspec.json.Decoder(dict[str, Any] | None)


read_basis: Final = msgspec.json.Decoder(Basis).decode
