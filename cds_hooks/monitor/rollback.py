"""Takes back what is being tried where a monitor finds something to act on: rules, models and equations in canary.

A version of a model that answers in place of the one in use is taken back, too. It goes back to shadow, is computed and
recorded as before, and needs the acts of people to show cards again. An automatic rollback can only withhold cards.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import to_builtins

from cds_hooks.hold_back.acts import ROLLBACK_EVENT, Rollback
from cds_hooks.hold_back.releases import CANARY, Released
from cds_hooks.storage.entries import add_event
from models_onnx.artifact.folder import VERSION_SIGN
from models_onnx.monitoring.figure import Figure

_ACTOR: Final = "cds-hooks monitor"
_OF_THE_SERVICE: Final = frozenset({"errors", "latency", "missing", "units", "input drift", "score drift", "alert rate",
                                    "acceptance", "calibration", "discrimination", "fairness"})  # fmt: skip
"""Families of figures that say something of whatever is tried in a service; those of the feed do not."""


def to_take_back(released: Released, figures: Sequence[Figure]) -> list[Rollback]:
    """Return what is tried and has a figure to act on, each with the first such figure as the reason."""
    services = _services_of(figures)
    acting = [figure for figure in figures if figure.state == "act"]
    return list(_rollbacks(released, acting, services))


def _services_of(figures: Iterable[Figure]) -> dict[str, set[str]]:
    """Return the services that asked each model and equation, by the figures of its scores ("id@version group")."""
    services: dict[str, set[str]] = {}
    for figure in figures:
        if figure.family == "score drift":
            services.setdefault(figure.subject.partition(VERSION_SIGN)[0], set()).add(figure.service)
    return services


def _rollbacks(
    released: Released, acting: Sequence[Figure], services_of: Mapping[str, Collection[str]]
) -> Iterator[Rollback]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for (kind, name), state in released.states.items():
        is_tried = state.state == CANARY or (state.state == "active" and VERSION_SIGN in name)
        if not is_tried or kind not in ("rule", "model", "equation"):
            continue
        services = services_of.get(name.partition(VERSION_SIGN)[0], ())
        why = next((figure for figure in acting if _is_about(figure, name, services)), None)
        if why is not None:
            yield Rollback(kind, name, now, f"monitor, {why.family} at {why.client}: {why.text}")  # type: ignore[arg-type]


def _is_about(figure: Figure, name: str, services: Collection[str]) -> bool:
    is_named = name in (figure.subject, *figure.subject.split(" "))
    return is_named or (figure.family in _OF_THE_SERVICE and figure.service in services)


def take_back(url: str, rollbacks: Iterable[Rollback]) -> None:
    """Write each rollback into the record; every server has it within a second.

    Raises:
        RecordUnavailable: The record cannot be written.
    """
    for rollback in rollbacks:
        add_event(url, ROLLBACK_EVENT, _ACTOR, to_builtins(rollback))
