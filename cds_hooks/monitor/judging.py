"""What the monitor says of a window: the figures of calls, of predictions that are mature, and of rules.

Tells others of incidents: a webhook once when one begins and once when it ends.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final, Literal

from msgspec import Struct, to_builtins

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.governance.acts import ROLLBACK_EVENT, Rollback
from cds_hooks.hold_back.checks import WITHHELD
from cds_hooks.hold_back.released import CANARY, Released
from cds_hooks.monitor.book import CountBook
from cds_hooks.monitor.label_reading import label_windows
from cds_hooks.notice_formats import post_notice
from cds_hooks.outcomes.labels import Labels
from cds_hooks.storage.entries import add_event
from models_onnx.artifact.folder import VERSION_SIGN
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import Figure, Incident, State
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.label_judging import LabelWindow

_STATES: Final = ("act", "watch", "good", "insufficient")


class Window(Struct, frozen=True):
    """The days that are judged: up to `last`, against those before, and how many of mature predictions."""

    last: date
    days: int
    before: int
    label_days: int
    at: datetime | None = None
    """The instant up to which the last day has been counted; None where it is over."""


class Judged(Struct, frozen=True):
    """The figures of each client and service, and those that are of none."""

    comparisons: Sequence[tuple[Compared | LabelWindow, list[Figure]]]
    of_none: list[Figure]

    def narrowed(self, client: str | None, service: str | None) -> tuple[list[Compared | LabelWindow], list[Figure]]:
        """Return what was compared of this client and service, and its figures, the most urgent first."""
        shown = [
            (comparison, figures)
            for comparison, figures in self.comparisons
            if client in (None, comparison.client) and service in (None, comparison.service)
        ]
        others = [figure for figure in self.of_none if client in (None, figure.client) and service is None]
        figures = [*(figure for _, of_one in shown for figure in of_one), *others]
        return [comparison for comparison, _ in shown], sorted(figures, key=lambda figure: figure.order)


def judge(book: CountBook, labels: Labels, window: Window) -> Judged:
    """Judges what the book has counted in the window.

    Raises:
        RecordUnavailable: The counts cannot be read.
    """
    compared = [
        replace(comparison, at=window.at) for comparison in book.compared(window.last, window.days, window.before)
    ]
    mature = label_windows(book, labels, window.last, window.label_days)
    judged: list[Compared | LabelWindow] = [*compared, *mature]
    silent = rules_without_findings(compared, frozenset(all_rule_versions()))
    comparisons = [(comparison, list(comparison.figures())) for comparison in judged]
    return Judged(comparisons, silent)


def summary(figures: list[Figure]) -> str:
    """How many figures have which state, in a sentence; where there is none, what it takes."""
    if not figures:
        return (
            "0 figures: no calls were recorded in these days and the days before, and no outcomes were reported of "
            "estimates whose horizon and label lag have passed (cds-hooks outcomes; --label-days looks further "
            "back, --until at other days)."
        )
    if all(figure.state == "insufficient" for figure in figures):
        return f"Too few calls were counted in these days to judge any of the {len(figures):,} figures."
    number = {state: sum(figure.state == state for figure in figures) for state in _STATES}
    return (
        f"{len(figures):,} figures: {number['act']:,} to act on, {number['watch']:,} to watch, "
        f"{number['good']:,} good, {number['insufficient']:,} insufficient (too few were counted to know)."
    )


# Which rules of the catalogue found nothing in the days that a report looks at


FEWEST_CALLS: Final = 3_000
"""Of a rule that found nothing in so many calls it is known, with 95 % certainty, that it does in under 1 of 1,000.

The "rule of three": Hanley and Lippman-Hand, JAMA 1983;249:1743.
"""
_NAMED: Final = 20


def rules_without_findings(compared: Sequence[Compared], catalogue: frozenset[str]) -> list[Figure]:
    """One figure for each client that calls a service of these rules: how many of them found nothing in how many calls.

    A finding that was withheld counts. Services in which no rule of the catalogue found anything are not counted.
    """
    rules = []
    for client in sorted({comparison.client for comparison in compared}):
        calls, found_something = 0, set[str]()
        for comparison in compared:
            if comparison.client != client:
                continue
            days = [*comparison.reference.values(), *comparison.window.values()]
            rules_seen = set().union(*map(_with_findings, days)) & catalogue
            found_something |= rules_seen
            calls += sum(day.calls for day in days) if rules_seen else 0
        if calls:
            rules.append(_figure(client, calls, sorted(catalogue - found_something), len(catalogue)))
    return rules


def _with_findings(day: DayCounts) -> set[str]:
    withheld = (key.rpartition(" ") for key in day.silences)
    return set(day.rules) | {subject for subject, _, reason in withheld if reason in WITHHELD}


def _figure(client: str, calls: int, silent: list[str], all_rules: int) -> Figure:
    subject = "rules without a finding"
    if calls < FEWEST_CALLS:
        text = f"{subject}: {calls:,} calls were counted, {FEWEST_CALLS:,} are needed."
        return Figure(client, "all services", "rules", subject, "insufficient", calls, FEWEST_CALLS, None, None, text)
    state: State = "watch" if silent else "good"
    more = f" and {len(silent) - _NAMED} more" if len(silent) > _NAMED else ""
    text = (
        f"{len(silent)} of {all_rules} rules found nothing in {calls:,} calls, so each finds something in fewer than "
        f"{3000 / calls:.2g} of 1,000 (95 % certainty): {', '.join(silent[:_NAMED])}{more}."
    )
    value = len(silent) / all_rules
    return Figure(client, "all services", "rules", subject, state, calls, FEWEST_CALLS, value, None, text)


# Takes back what is being tried where a monitor finds something to act on: rules, models and equations in canary


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


class NotTold(Exception):
    """The webhook did not take an event; the message is a sentence, and the next report tells it again."""


class Event(Struct):
    """What is sent: aggregates of a client, nothing of a patient."""

    event: Literal["opened", "closed"]
    at: str
    client: str
    family: str
    text: str = ""


def tell(book: CountBook, incidents: Sequence[Incident], url: str) -> list[Event]:
    """Send one event for each incident that began or ended since the last telling, and remember those that arrived.

    `url` is https, or http on this machine (`cds_hooks/settings/checks.py`).

    Raises:
        NotTold: An event was not taken with 2xx.
        RecordUnavailable: The book cannot be written.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    open_before, current = (
        book.open_incidents(),
        {(incident.client, incident.family): incident for incident in incidents},
    )
    begun = [Event("opened", now, *key, current[key].text) for key in sorted(set(current) - open_before)]
    ended = [Event("closed", now, *key) for key in sorted(open_before - set(current))]
    for event in [*begun, *ended]:
        notice = {name: getattr(event, name) for name in event.__struct_fields__}
        key, is_over = f"{event.client} {event.family}", event.event == "closed"
        if fault := post_notice(url, notice, key, event.at, is_over=is_over):
            raise NotTold(f"the webhook {fault}; the next report tells the event again.")
        book.note_incident(event.client, event.family, is_open=not is_over)
    return [*begun, *ended]
