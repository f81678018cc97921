"""A figure of monitoring, with the number it rests on and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

State = Literal["good", "watch", "act", "insufficient"]
Family = Literal[
    "feed", "errors", "latency", "prefetch", "units", "missing", "input drift", "score drift", "alert rate",
    "age of values", "clock", "rules", "acceptance", "calibration", "discrimination", "fairness", "label choice",
]  # fmt: skip

ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {"sex": ("women", "men"), "age": ("under 65", "65 and over")}
"""The groups of `day.groups_of`; `race` and `ethnicity` have those that the record names."""
_RANK: dict[State, int] = {"act": 0, "watch": 1, "insufficient": 2, "good": 3}


@dataclass(frozen=True, slots=True)
class Figure:
    """`n` is what was counted in the window, `minimum` the fewest for which anything is said of it.

    `value` and `before` are in the unit that `text` names; None where nothing could be computed.
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

    @property
    def order(self) -> tuple[int, str, str, str, str]:
        """What has to be looked at comes first."""
        return (_RANK[self.state], self.client, self.family, self.service, self.subject)


_DATA: tuple[Family, ...] = (
    "prefetch", "units", "missing", "age of values", "input drift", "score drift", "alert rate", "rules",
)  # fmt: skip
_MODEL: tuple[Family, ...] = ("calibration", "discrimination", "fairness")
_APART: tuple[Family, ...] = ("feed", "clock", "errors", "latency", "acceptance")


@dataclass(frozen=True, slots=True)
class Incident:
    """One cause: the figures that show it, and those that follow from it (another unit moves the scores)."""

    client: str
    family: Family
    causes: tuple[Figure, ...]
    follows: tuple[Figure, ...] = ()

    @property
    def text(self) -> str:
        """A sentence for the person on call."""
        more = f" ({len(self.causes) - 1} more figures of the same kind)" if len(self.causes) > 1 else ""
        also = f" It explains {len(self.follows)} further figures." if self.follows else ""
        return f"{self.client}: {self.causes[0].text}{more}{also}"


def incidents(figures: list[Figure]) -> list[Incident]:
    """Return one incident per cause, from the figures on which somebody has to act.

    What is nearer to the source explains what lies behind it: a key that is no longer sent leaves inputs missing, a
    missing input moves scores, and scores move the rate of cards and what rules say. Estimates that are wrong explain
    wrong shares of cards; labels are of other days, so what is found on them is an incident of its own. Where the
    estimates are wrong for a group and right for the other one (women, men), the group is the cause, not the average.
    """
    open_incidents = []
    acting = sorted((figure for figure in figures if figure.state == "act"), key=lambda figure: figure.order)
    for client in sorted({figure.client for figure in acting}):
        of_client = [figure for figure in acting if figure.client == client]
        for family in _APART:
            causes = tuple(figure for figure in of_client if figure.family == family)
            open_incidents += [Incident(client, family, causes)] if causes else []
        for order in (_DATA, _MODEL):
            of_kind = [figure for figure in of_client if figure.family in order]
            if of_kind and order is _MODEL and (group := _groups_apart(of_kind, figures)):
                follows = tuple(figure for figure in of_kind if figure not in group)
                open_incidents.append(Incident(client, "fairness", group, follows))
            elif of_kind:
                first = min((figure.family for figure in of_kind), key=order.index)
                causes = tuple(figure for figure in of_kind if figure.family == first)
                open_incidents.append(
                    Incident(client, first, causes, tuple(figure for figure in of_kind if figure.family != first))
                )
    return open_incidents


def _groups_apart(acting: list[Figure], figures: list[Figure]) -> tuple[Figure, ...]:
    """Return the groups for whom observed to expected is wrong while it is right for another one of the same attribute.

    Where women have decayed, the young and the old have a share of it: neither of them is the group.
    """
    right = {_model_at(figure) for figure in figures if figure.state == "good" and _is_of_group(figure)}
    return tuple(figure for figure in acting if _is_of_group(figure) and _model_at(figure) in right)


def _is_of_group(figure: Figure) -> bool:
    """Whether it is observed to expected of one group: its subject is "model, group"."""
    return figure.family == "fairness" and figure.subject.count(", ") == 1


def _model_at(figure: Figure) -> tuple[str, str, str, str]:
    model, _, group = figure.subject.partition(", ")
    attribute = next((name for name, groups in ATTRIBUTES.items() if group in groups), group.partition(" ")[0])
    return figure.client, figure.service, model, attribute
