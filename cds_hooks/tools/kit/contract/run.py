"""Runs the checks: on a server over HTTP, or on a document on disk."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from cds_hooks.tools.kit.contract.connection import Exchange, Purpose
from cds_hooks.tools.kit.contract.document import Node, NotTested, Subject, parse_json, parts_of
from cds_hooks.tools.kit.contract.registry import SECTIONS, Check, all_checks, rows
from cds_hooks.tools.kit.contract.report import Outcome, Report
from cds_hooks.tools.kit.contract.target import Target
from cds_hooks.tools.kit.simulator.chart import unreadable

Progress = Callable[[str, int, int], None]

_UNREADABLE = (TypeError, AttributeError, LookupError, ValueError, RecursionError)


class UnknownRow(ValueError):
    """There is no row or section of this name."""


def select_checks(only: Sequence[str], dialect: str, *, quick: bool = False) -> list[Check]:
    """Return the checks of this dialect that stand for one of these rows or sections; all of them where none is named.

    `quick` leaves out those that wait or send much.

    Raises UnknownRow.
    """
    names = [name.strip().upper() for entry in only for name in entry.split(",") if name.strip()]
    known_names = {row.upper() for row in rows()} | set(SECTIONS)
    unknown = [name for name in names if name not in known_names]
    if unknown:
        raise UnknownRow(f"there is no row or section {', '.join(unknown)}; sections: {' '.join(SECTIONS)}")
    checks = [check for check in all_checks() if check.dialect in ("", dialect) and not (quick and check.slow)]
    return [check for check in checks if not names or any(_is_named(row, names) for row in check.rows)]


def _is_named(row: str, names: Iterable[str]) -> bool:
    return any(row.upper() == name or row.upper().partition("-")[0] == name for name in names)


def run_checks(
    target: Target,
    checks: Sequence[Check],
    progress: Progress = lambda *_: None,
    time_limit_seconds: float | None = None,
    *,
    once: bool = False,
) -> Report:
    """Run these checks on a server; `progress` is called with the words, number and count of each step.

    `once`: a check of a service is made at the first service where it can be judged, and not at every one.
    After the time limit, or a KeyboardInterrupt, no more requests are made and what is known by then is reported.
    """
    start, connection, discovery = perf_counter(), target.connection, target.discovery
    connection.deadline = None if time_limit_seconds is None else start + time_limit_seconds
    outcomes = {check: Outcome(check) for check in checks}
    stopped = ""
    if not discovery.status and "certificate" not in discovery.failure.lower():
        stopped = f"No server answers at {connection.base}: {discovery.failure}"
    elif discovery.status in (401, 403) and not connection.authenticates:
        stopped = f"discovery {discovery.answer}: give a key or a token (--key, --token)"
    if stopped:
        return Report(connection.base, list(outcomes.values()), 1, stopped=stopped)
    if discovery.ok and not discovery.document.problem:
        check_document(Subject.DISCOVERY, target.document, outcomes.values())
    cut_short = ""
    try:
        _call(target, checks, outcomes, progress, once)
    except KeyboardInterrupt:
        cut_short = "the run was interrupted"
    if connection.deadline is not None and perf_counter() >= connection.deadline:
        cut_short = "the time limit was reached"
    exchanges = tuple(connection.log)
    _weigh(exchanges, list(outcomes.values()))
    for outcome in outcomes.values() if cut_short else ():
        outcome.reasons.append(cut_short)
    seconds, dialect = perf_counter() - start, target.dialect.name
    every = list(outcomes.values())
    return Report(connection.base, every, len(exchanges), seconds, dialect=dialect, cut_short=cut_short)


def _call(
    target: Target, checks: Sequence[Check], outcomes: dict[Check, Outcome], progress: Progress, once: bool
) -> None:
    """Make the calls; answers are judged afterwards."""
    wanted: Sequence[Check] = checks
    if any(check.everything for check in checks):
        others = (check for check in all_checks() if check.dialect in ("", target.dialect.name) and not check.slow)
        wanted = list(dict.fromkeys((*checks, *others)))
    steps = [(check, subject) for check in wanted for subject in _subjects(check, target)]
    if any(check.subject not in (Subject.SERVICE, Subject.SERVER) for check in checks):
        for service in target.services:
            progress(f"{service.id}: calls for {service.hook}", 0, len(steps))
            with suppress(NotTested):
                _ = service.calls
    outcome_of = dict(outcomes)  # and of the checks that are made for their exchanges alone
    for number, (check, subject) in enumerate(steps, 1):
        deadline = target.connection.deadline
        if deadline is not None and perf_counter() >= deadline:
            return
        progress(check.words, number, len(steps))
        outcome = outcome_of.setdefault(check, Outcome(check))
        if not (once and outcome.judged):
            _try(check, subject, outcome)


def _subjects(check: Check, target: Target) -> Sequence[Any]:
    if check.subject is Subject.SERVICE:
        return target.services
    return (target,) if check.subject is Subject.SERVER else ()


def _try(check: Check, subject: Any, outcome: Outcome, request: str = "") -> None:
    try:
        for fault in check.run(subject):
            outcome.faults.append(fault if fault.request else replace(fault, request=request))
        outcome.judged += 1
    except NotTested as reason:
        if str(reason) not in outcome.reasons:
            outcome.reasons.append(str(reason))
    except _UNREADABLE as error:
        # A server may answer anything; one check that cannot make sense of it must not end the run.
        outcome.reasons.append(f"the check could not read an answer of this server ({type(error).__name__}: {error})")


def _weigh(exchanges: Sequence[Exchange], outcomes: Sequence[Outcome]) -> None:
    of_exchanges = [outcome for outcome in outcomes if outcome.check.subject is Subject.EXCHANGE]
    of_documents = [outcome for outcome in outcomes if outcome.check.subject.is_part]
    for exchange in exchanges:
        for outcome in of_exchanges:
            _try(outcome.check, exchange, outcome)
        if exchange.purpose is Purpose.CALL and exchange.status == 200 and not exchange.document.problem:
            check_document(Subject.RESPONSE, Node(exchange.document.value), of_documents, exchange.name)


def check_document(subject: Subject, document: Node, outcomes: Iterable[Outcome], request: str = "") -> None:
    """Hands every part of a document to the checks that are about it."""
    by_subject: dict[Subject, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.check.subject.is_part:
            by_subject.setdefault(outcome.check.subject, []).append(outcome)
    if not by_subject:
        return  # a document has thousands of parts
    for part, node in parts_of(subject, document):
        for outcome in by_subject.get(part, ()):
            _try(outcome.check, node, outcome, request)


class UnreadableDocument(ValueError):
    """The file holds no document that can be judged; the message says why."""


def check_file(path: Path, checks: list[Check]) -> Report:
    """Return what these checks find in a file.

    Raises UnreadableDocument.
    """
    try:
        document = parse_json(path.read_bytes())
    except OSError as error:
        raise UnreadableDocument(unreadable(path, error)) from error
    if document.problem:
        raise UnreadableDocument(f"{path.name} is not valid JSON: {document.problem}")
    outcomes = [Outcome(check) for check in checks if check.subject.is_part]
    check_document(_kind_of(path, document.value), Node(document.value), outcomes)
    return Report(str(path), outcomes)


def _kind_of(path: Path, value: Any) -> Subject:
    """Return what a document is, by its members: without any it is taken for a response."""
    if isinstance(value, dict):
        if "services" in value:
            return Subject.DISCOVERY
        if not value or value.keys() & {"cards", "systemActions"}:
            return Subject.RESPONSE
    raise UnreadableDocument(
        f"{path.name} is neither a discovery document, which has services, nor a response, which has cards: "
        "put a single card or service into one"
    )
