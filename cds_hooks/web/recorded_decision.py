"""Reads a recorded decision: its basis, its scores, its cards."""

from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import Struct, field


class RecordedDecision(Protocol):
    """The members of a stored decision that a page shows."""

    @property
    def id(self) -> str: ...
    @property
    def decided_at(self) -> int: ...
    @property
    def hook(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def patient(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def input_digest(self) -> str: ...
    @property
    def models(self) -> bytes: ...
    @property
    def response(self) -> bytes: ...
    @property
    def basis(self) -> bytes: ...


class Scores(Struct, frozen=True):
    """What a model said: margin = base + sum of contributions = logit(probability)."""

    id: str
    version: str
    sha256: str
    probability: float
    margin: float
    base: float
    contributions: dict[str, float]
    percentile: float
    observed_rate: float
    observed_low: float
    observed_high: float
    observed_count: int


class ModelFile(Struct, frozen=True):
    """A model that was asked: which file exactly."""

    id: str
    version: str
    sha256: str


class Basis(Struct, frozen=True):
    """What a decision was based on, as storage/basis.py writes it."""

    as_of: datetime
    features: dict[str, tuple[float, str, str]] = {}
    missing: dict[str, str] = {}
    scores: dict[str, Any] | None = None
    silence: list[tuple[str, str, str]] = []

    @property
    def model_scores(self) -> Scores | None:
        """The scores of a model that explains itself; None where the service asked none."""
        if self.scores is None or "contributions" not in self.scores:
            return None
        return msgspec.convert(self.scores, Scores)


class Suggestion(Struct, frozen=True, rename="camel"):
    """What could be accepted on the card."""

    label: str
    is_recommended: bool = False


class Source(Struct, frozen=True):
    """Where the card's advice comes from."""

    label: str
    url: str | None = None


class Link(Struct, frozen=True):
    """A link of the card."""

    label: str
    url: str
    type: str = "absolute"


class Reason(Struct, frozen=True):
    """A reason to override that the card offered."""

    display: str = ""


class Card(Struct, frozen=True, rename="camel"):
    """A card as it was sent, as far as a page repeats it."""

    summary: str
    indicator: str
    source: Source
    detail: str = ""
    suggestions: list[Suggestion] = []
    links: list[Link] = []
    override_reasons: list[Reason] = []
    extension: dict[str, Any] = field(default_factory=dict)


class Response(Struct, frozen=True):
    """The answer as it was sent."""

    cards: list[Card]


_models = msgspec.json.Decoder(list[ModelFile])
_basis = msgspec.json.Decoder(Basis)
_response = msgspec.json.Decoder(Response)


def read_basis(decision: RecordedDecision) -> Basis:
    """Its basis; msgspec.DecodeError for a record of another form."""
    return _basis.decode(decision.basis)


def read_models(decision: RecordedDecision) -> list[ModelFile]:
    """The models that were asked; msgspec.DecodeError for a record of another form."""
    return _models.decode(decision.models)


def read_cards(decision: RecordedDecision) -> list[Card]:
    """Its cards, none where the call was refused; msgspec.DecodeError for a record of another form."""
    return [] if is_refused(decision) else _response.decode(decision.response).cards


def is_refused(decision: RecordedDecision) -> bool:
    """Whether the call was answered with an error: nothing was looked at."""
    return decision.outcome == "error"
