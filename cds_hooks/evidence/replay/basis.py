"""What a decision recorded of itself beside its answer, as a replay reads it."""

from datetime import datetime
from functools import cached_property
from typing import Any, Final

import msgspec
from msgspec import Raw

from cds_hooks.call.prefetch.facts import OfBasis

_NULL: Final = Raw(b"null")
_EMPTY: Final = Raw(b"{}")


class Basis(OfBasis, frozen=True, dict=True, kw_only=True):
    """What a decision recorded of itself.

    Values and scores are read from their JSON when they are first asked for: a whole call is computed without them.
    """

    as_of: datetime
    features_as_recorded: Raw = msgspec.field(default=_EMPTY, name="features")
    scores_as_recorded: Raw = msgspec.field(default=_NULL, name="scores")
    silence: tuple[tuple[str, str, str], ...] = ()
    config: str = ""
    withheld: dict[str, int] = msgspec.field(default_factory=dict)

    @cached_property
    def features(self) -> dict[str, tuple[float, str, str]]:
        """Of each feature its value, when that was, and the resource it is from."""
        features: dict[str, tuple[float, str, str]] = _features.decode(self.features_as_recorded)
        return features

    @cached_property
    def scores(self) -> dict[str, Any] | None:
        """The scores; None where there are none."""
        scores: dict[str, Any] | None = _scores.decode(self.scores_as_recorded)
        return scores


_features: Final = msgspec.json.Decoder(dict[str, tuple[float, str, str]])
_scores: Final = msgspec.json.Decoder(dict[str, Any] | None)


read_basis: Final = msgspec.json.Decoder(Basis).decode
