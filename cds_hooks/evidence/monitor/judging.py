"""What follows from a report: it is kept for the pages, others are told, and what is being tried is taken back."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final, Literal

import msgspec
from msgspec import Struct, to_builtins

from cds_hooks.call.hold_back.released import CANARY, Released
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.evidence.monitor.window import Window
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.people.governance.acts import ROLLBACK_EVENT, Rollback
from cds_hooks.telemetry.notice_formats import post_notice
from models_onnx.artifact.folder import VERSION_SIGN
from models_onnx.monitoring.figure import SCORES, Figure, Incident

_STATES: Final = ("act", "watch", "good", "insufficient")


class Report(Struct, frozen=True):
    """A report as the pages read it: its window, its figures, the most urgent first, and its incidents."""

    until: date
    days: int
    before: int
    figures: list[Figure]
    incidents: list[Incident]


def keep_report(book: CountBook, report: Report) -> None:
    """Keep what somebody has to look at for the pages."""
    shown = [figure for figure in report.figures if figure.state in ("act", "watch")]
    kept = msgspec.structs.replace(report, figures=shown)
    content = {"report": kept, "summary": summary(report.figures)}
    book.note_report(msgspec.json.encode(content))


class KeptReport(Struct, frozen=True):
    """The newest report of the command `monitor`: when it was made (epoch seconds), and what it says."""

    at: float
    report: Report
    summary: str


def kept_report(book: CountBook) -> KeptReport | None:
    """Return the newest report; None where none was made.

    Raises:
        RecordUnavailable: The views cannot be read.
    """
    kept = book.last_report()
    if kept is None:
        return None
    content = msgspec.json.decode(kept[1])
    return KeptReport(kept[0], msgspec.convert(content["report"], Report), content["summary"])


def summary(figures: Sequence[Figure]) -> str:
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


# Takes back what is being tried where a monitor finds something to act on: rules, models and equations in canary


_ACTOR: Final = "cds-hooks monitor"


def to_take_back(released: Released, figures: Sequence[Figure]) -> list[Rollback]:
    """Return what is tried and has a figure to act on, each with the first such figure as the reason."""
    services = _services_of(figures)
    acting = [figure for figure in figures if figure.state == "act"]
    return list(_rollbacks(released, acting, services))


def _services_of(figures: Iterable[Figure]) -> dict[str, set[str]]:
    """Return the services that asked each model and equation, by the figures of its scores ("id@version")."""
    services: dict[str, set[str]] = {}
    for figure in figures:
        if figure.about == SCORES:
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
    """Whether a figure is of what is tried, or of the service that asks it; calls and prefetch are the client's."""
    is_named = name in (figure.subject, figure.about, *figure.subject.split(" "))
    return is_named or (figure.family not in ("calls", "prefetch") and figure.service in services)


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


def note_incidents(book: CountBook, incidents: Sequence[Incident], window: Window) -> list[str]:
    """Remember which incidents are open, each from the window on where it is new, and return the keys that ended.

    One that ended and that others were told of stays until they are told of its end.
    """
    current = {incident.key for incident in incidents}
    book.note_open(incidents, window.start)
    ended = [key for key in book.open_incidents() if key not in current]
    for key in ended:
        if not book.open_incidents()[key][2]:
            book.note_ended(key, window.last)
    return ended


def tell(book: CountBook, incidents: Sequence[Incident], url: str, window: Window) -> list[Event]:
    """Send one event for each open incident nobody was told of, and one for each that ended, and remember both.

    `url` is https, or http on this machine (`cds_hooks/settings/checks.py`). `note_incidents` came before.

    Raises:
        NotTold: An event was not taken with 2xx.
        RecordUnavailable: The book cannot be written.
    """
    now, open_before = datetime.now(UTC).isoformat(timespec="seconds"), book.open_incidents()
    current = {incident.key: incident for incident in incidents}
    events = [
        (key, Event("opened", now, current[key].client, current[key].family, current[key].text))
        for key in sorted(current)
        if not open_before[key][2]
    ]
    events += [(key, Event("closed", now, *open_before[key][:2])) for key in sorted(open_before) if key not in current]
    for key, event in events:
        notice = {name: getattr(event, name) for name in event.__struct_fields__}
        is_over = event.event == "closed"
        if fault := post_notice(url, notice, key, event.at, is_over=is_over):
            raise NotTold(f"the webhook {fault}; the next report tells the event again.")
        if is_over:
            book.note_ended(key, window.last)
        else:
            book.note_told(key)
    return [event for _, event in events]
