"""Reads what is reported to have happened: the members of one report, and the body of POST /outcomes.

A report is one of four:

- by prediction: `prediction` (the decision's id or a card's uuid), `outcome` yes, no or unknown, `at`, `model`;
- by patient and time: `patient`, `event` or `model`, `at`, and `outcome` where it did not happen;
- what was done with an order: `card`, `suggestion`, `order`, `at`;
- that everything was sent: `event`, `completeThrough`.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import msgspec
from msgspec import Struct

from cds_hooks.call.protocol.feedback import read_list
from cds_hooks.errors import BadRequest
from cds_hooks.evidence.outcomes.labels import DAY

MOST_REPORTS: Final = 1000
"""The most that one body may hold; a longer list is sent in parts."""
MOST_BYTES: Final = 1024 * 1024
"""The longest body that is read: a kilobyte for each of its reports."""
_LONGEST: Final = 256
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE | re.ASCII
)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Report(Struct, frozen=True, forbid_unknown_fields=True):
    """One report as it was sent: by prediction, by patient and time, about an order, or that everything was sent."""

    prediction: str | None = None
    patient: str | None = None
    card: str | None = None
    model: str | None = None
    """The model whose prediction it decides."""
    event: str | None = None
    """What happened: death, admission, or as a model names it."""
    outcome: Literal["yes", "no", "unknown"] | None = None
    at: str | None = None
    """When it happened, or until when the patient was followed."""
    suggestion: str | None = None
    order: Literal["accepted", "changed", "still-ordered", "withdrawn"] | None = None
    completeThrough: str | None = None
    """Up to this day every such event was sent."""


class WrongReport(Exception):
    """A report that cannot be read: which member, and what to do, in a sentence without its value."""

    def __init__(self, member: str, text: str) -> None:
        super().__init__(text)
        self.member = member
        self.text = text


_list: Final = msgspec.json.Decoder(tuple[Report, ...])


def read_reports(body: bytes) -> list[Report]:
    """Return the reports of a body `{"outcomes": [...]}`, all or none.

    Raises:
        BadRequest, TooDeep, PayloadTooLarge: One of them is not what is read here; the message says which.
    """
    reports = read_list(
        body, "outcomes", lambda members: _list.decode(members.get("outcomes", b"null")), MOST_REPORTS, Report
    )
    checked = []
    for number, report in enumerate(reports):
        try:
            checked.append(checked_report(report))
        except WrongReport as error:
            text = f"outcomes[{number}]: {error.text} Nothing was recorded."
            raise BadRequest(text, f"outcomes[{number}].{error.member}") from error
    return checked


def checked_report(report: Report) -> Report:
    """Return the report with its times in one form.

    Raises:
        WrongReport: Members are missing, contradict each other, or are no times.
    """
    for name in ("prediction", "patient", "card", "suggestion", "model", "event"):
        value = getattr(report, name)
        if value is not None and not (0 < len(value.strip()) <= _LONGEST and value.isprintable()):
            raise WrongReport(name, f"`{name}` must be printable text of 1 to {_LONGEST} characters.")
    subjects = [name for name in ("prediction", "patient", "card", "completeThrough") if getattr(report, name)]
    if len(subjects) != 1:
        text = "A report must name exactly one of `prediction`, `patient`, `card` and `completeThrough`."
        raise WrongReport(subjects[1] if subjects else "prediction", text)
    _check_members(report, subjects[0])
    times = {name: _plain_time(getattr(report, name), name) for name in ("at", "completeThrough")}
    if times["completeThrough"] is not None and "T" in times["completeThrough"]:
        raise WrongReport("completeThrough", "`completeThrough` must be a day such as 2026-10-31.")
    return msgspec.structs.replace(report, **times)


_MEMBERS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "prediction": (("outcome",), ("outcome", "at", "model")),
    "patient": (("at",), ("event", "model", "outcome", "at")),
    "card": (("order",), ("order", "suggestion", "at")),
    "completeThrough": (("event",), ("event",)),
}
"""By what a report is about: the members that it must have, and those that it may have."""


def _check_members(report: Report, subject: str) -> None:
    needed, allowed = _MEMBERS[subject]
    for name in needed:
        if getattr(report, name) is None:
            raise WrongReport(name, f"A report with `{subject}` needs `{name}`, too.")
    for name in report.__struct_fields__:
        if name != subject and name not in allowed and getattr(report, name) is not None:
            raise WrongReport(name, f"A report with `{subject}` must not have `{name}`.")
    if subject == "patient" and (report.event is None) == (report.model is None):
        raise WrongReport("event", "A report with `patient` must name either `event` or `model`.")
    if subject == "patient" and report.outcome == "unknown":
        raise WrongReport(
            "outcome",
            "Only a report with `prediction` may withdraw an outcome; a report with `patient` must say yes or no.",
        )


def _plain_time(text: str | None, name: str) -> str | None:
    """Return a day as it is, an instant in UTC."""
    if text is None:
        return None
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text).isoformat()
        if _INSTANT.fullmatch(text):
            instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
            return instant.isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        pass
    raise WrongReport(name, f"`{name}` must be a day (2026-11-20) or an instant with its zone (2026-11-20T09:05:31Z).")


def span_of(text: str) -> tuple[int, int]:
    """First and last microsecond since 1970-01-01 UTC that a checked time can mean: a day is 24 hours long."""
    instant = datetime.fromisoformat(text)
    start = (instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant) - _EPOCH
    begin = start // timedelta(microseconds=1)
    return begin, begin + (DAY - 1 if len(text) == len("2026-11-20") else 0)
