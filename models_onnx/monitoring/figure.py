"""A figure of monitoring with the number it rests on, and the incidents that figures are evidence of."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

State = Literal["good", "watch", "act", "insufficient"]
Family = Literal["calls", "errors", "prefetch", "missing", "drift", "calibration", "alerts", "fairness"]
_RANK: Final[dict[State, int]] = {"act": 0, "watch": 1, "insufficient": 2, "good": 3}
Key = tuple[str, str, str, str, str]
"""Client, service, site, family and subject."""


class Figure(Struct, frozen=True):
    """`n` is what was counted in the window, `minimum` the fewest for which anything is said of it.

    `value` and `before` are in the unit that `text` names; None where nothing could be computed. `site` is a care unit,
    "" for all of the client. `about` is the input, prefetch key, rule or model that the figure is of.
    """

    client: str
    service: str
    family: Family
    subject: str
    state: State
    n: int
    minimum: int
    value: float | None
    before: float | None
    text: str
    site: str = ""
    about: str = ""

    @property
    def key(self) -> Key:
        """What tells the figure from every other one, in each report anew."""
        return (self.client, self.service, self.site, self.family, self.subject)

    @property
    def order(self) -> tuple[int, str, str, str, str, str]:
        """What has to be looked at comes first, all of a client before its sites."""
        return (_RANK[self.state], self.client, self.site, self.family, self.service, self.subject)


class Incident(Struct, frozen=True):
    """One cause: the figures that show it, and those that follow from it (another unit moves the scores)."""

    client: str
    family: Family
    about: str
    causes: tuple[Figure, ...]
    follows: tuple[Figure, ...] = ()

    @property
    def key(self) -> str:
        """What the incident is known by while it is open."""
        return f"{self.client} {self.family} {self.about}".rstrip()

    @property
    def text(self) -> str:
        """A sentence for the person on call."""
        more = f" ({len(self.causes) - 1} more figures of the same kind)" if len(self.causes) > 1 else ""
        also = f" It explains {len(self.follows)} further figures." if self.follows else ""
        return f"{self.client}: {self.causes[0].text}{more}{also}"


SCORES: Final = "scores"
"""What a figure of a model's estimates is about, before labels."""
POPULATION: Final = "population"
"""What several inputs are about that moved together: the patients are others."""
AGES: Final = "age of values"
"""What several inputs are about whose values are older or newer together: results come late."""


def incidents(figures: Sequence[Figure]) -> list[Incident]:
    """Return one incident for each cause, from the figures on which somebody has to act.

    Figures are of one cause where they are about the same thing: an input whose values are missing and drift, at one
    site and in all; at different sites these are two. Inputs of a service that move together in their distribution
    alone are one cause, other patients. Scores, cards and rules follow from the inputs of the service where one of
    these moved, else stand alone.
    """
    acting = sorted((figure for figure in figures if figure.state == "act"), key=lambda figure: figure.order)
    groups: dict[tuple[str, str, str], list[Figure]] = {}
    for figure in acting:
        groups.setdefault((figure.client, *_cause(figure, acting)), []).append(figure)
    for key in [key for key in groups if _is_consequence(key)]:
        cause = next(
            (other for other in groups if other[0] == key[0] and _explains(other, groups[other], groups[key])), None
        )
        if cause is not None:
            groups[cause] += groups.pop(key)
    return [_incident(key, group) for key, group in groups.items()]


def _cause(figure: Figure, acting: Sequence[Figure]) -> tuple[str, str]:
    """Return family and subject of the cause: what an input has of its own is told of the input."""
    if figure.subject.startswith("age of ") and len({f.about for f in acting if f.subject.startswith("age of ")}) > 1:
        return "drift", AGES
    if figure.family == "drift" and figure.about == figure.subject.partition(",")[0]:
        alone = {f.about for f in acting if f.family in ("missing", "drift") and f.about != SCORES and _is_own(f)}
        moved = {f.about for f in acting if f.family == "drift" and f.client == figure.client and not _is_own(f)}
        if figure.about != SCORES and figure.about not in alone and len(moved - alone - {SCORES}) > 2:
            return "drift", POPULATION
    return _cause_family(figure, acting), figure.about


def _is_own(figure: Figure) -> bool:
    """Whether it is a fault of this input alone: missing, another unit or precision, not other patients."""
    return figure.family == "missing" or figure.subject.partition(" of ")[0] in ("unit", "range", "decimals", "age")


def _is_consequence(key: tuple[str, str, str]) -> bool:
    return key[1] == "alerts" or key[2] == SCORES or key[1] == "calibration"


def _explains(cause: tuple[str, str, str], causes: Sequence[Figure], moved: Sequence[Figure]) -> bool:
    """Whether the cause is nearer to the source, in the same service; labels are explained by labels alone."""
    _, family, about = cause
    if moved[0].family == "calibration":
        return family == "fairness"
    services = {figure.service for figure in moved}
    nearer = family in ("prefetch", "drift") and (about != SCORES or moved[0].family == "alerts")
    return nearer and about != moved[0].about and any(figure.service in services for figure in causes)


def _incident(key: tuple[str, str, str], figures: Sequence[Figure]) -> Incident:
    client, family, about = key
    is_shared = about in (POPULATION, AGES)
    families = ("drift", "missing") if family == "drift" else (family,)
    causes = tuple(f for f in figures if f.family in families and (is_shared or f.about == about))
    causes = tuple(sorted(causes, key=lambda f: (f.subject.count(", "), not f.subject.startswith(("unit", "range")))))
    follows = tuple(figure for figure in figures if figure not in causes)
    return Incident(client, causes[0].family, about, causes, follows)


def _cause_family(figure: Figure, acting: Sequence[Figure]) -> str:
    """Return "drift" for values that are missing where they drift, too; at other care units that is another fault."""
    if figure.family != "missing":
        return figure.family
    sites = defaultdict[str, set[str]](set)
    for other in acting:
        if (other.client, other.about) == (figure.client, figure.about) and other.site:
            sites[other.family].add(other.site)
    is_elsewhere = sites["missing"] and sites["drift"] and not sites["missing"] & sites["drift"]
    return "missing" if is_elsewhere else "drift"
