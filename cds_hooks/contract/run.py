"""Runs the checks: on a server over HTTP, or on a document."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from time import perf_counter
from typing import Any

from cds_hooks.contract.exchange import Exchange, Purpose
from cds_hooks.contract.finding import NotTested
from cds_hooks.contract.node import Node
from cds_hooks.contract.registry import Check, Way, all_checks
from cds_hooks.contract.report import Outcome, Report
from cds_hooks.contract.rows import SECTIONS, rows
from cds_hooks.contract.subjects import Subject, parts_of
from cds_hooks.contract.target import Target

Progress = Callable[[str, int, int], None]

_UNREADABLE = (TypeError, AttributeError, LookupError, ValueError)


class UnknownRow(ValueError):
    """There is no row or section of this name."""


def chosen(only: Sequence[str], dialect: str) -> list[Check]:
    """The checks of this dialect that stand for one of these rows or sections; all of them where none is named.

    Raises UnknownRow.
    """
    names = [name.strip().upper() for entry in only for name in entry.split(",") if name.strip()]
    known = {row.upper() for row in rows()} | set(SECTIONS)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UnknownRow(f"there is no row or section {', '.join(unknown)}; sections: {' '.join(SECTIONS)}")
    checks = [check for check in all_checks() if check.dialect in ("", dialect)]
    return [check for check in checks if not names or any(_is_named(row, names) for row in check.rows)]


def _is_named(row: str, names: Iterable[str]) -> bool:
    return any(row.upper() == name or row.upper().partition("-")[0] == name for name in names)


def check_server(target: Target, checks: Sequence[Check], progress: Progress = lambda *_: None) -> Report:
    """What these checks find on a server; `progress` hears the words, number and count of each step."""
    start = perf_counter()
    outcomes = {check: Outcome(check) for check in checks}
    if not target.discovery.status and "certificate" not in target.discovery.failure.lower():
        stopped = f"no answer from {target.connection.base}: {target.discovery.failure}"
        return Report(target.connection.base, list(outcomes.values()), 1, stopped=stopped)
    if target.discovery.status in (401, 403) and not target.connection.authenticates:
        stopped = f"discovery {target.discovery.answer}: give a key or a token (--key, --token)"
        return Report(target.connection.base, list(outcomes.values()), 1, stopped=stopped)
    if not target.discovery.document.problem:
        judge(Subject.DISCOVERY, target.document, outcomes.values())
    _call(target, checks, outcomes, progress)
    exchanges = target.connection.log
    _weigh(exchanges, outcomes.values())
    seconds = perf_counter() - start
    name = target.dialect.name
    return Report(target.connection.base, list(outcomes.values()), len(exchanges), seconds, dialect=name)


def _call(target: Target, checks: Sequence[Check], outcomes: dict[Check, Outcome], progress: Progress) -> None:
    """Makes the calls; answers are judged afterwards."""
    needed = all_checks() if any(check.everything for check in checks) else checks
    needed = [check for check in needed if check.dialect in ("", target.dialect.name)]
    steps = [(check, subject) for check in needed for subject in _subjects(check, target)]
    if any(isinstance(check.of, Subject) or check.of is Way.EXCHANGE for check in checks):
        for service in target.services:
            progress(f"{service.id}: calls for {service.hook}", 0, len(steps))
            with suppress(NotTested):
                _ = service.calls
    for number, (check, subject) in enumerate(steps, 1):
        progress(check.words, number, len(steps))
        _try(check, subject, outcomes.get(check, Outcome(check)))


def _subjects(check: Check, target: Target) -> Sequence[Any]:
    if check.of is Way.SERVICE:
        return target.services
    return (target,) if check.of is Way.SERVER else ()


def _try(check: Check, subject: Any, outcome: Outcome, request: str = "") -> None:
    try:
        for fault in check.run(subject):
            outcome.faults.append(fault if fault.request else replace(fault, request=request))
        outcome.judged += 1
    except NotTested as reason:
        outcome.reasons.append(str(reason))
    except _UNREADABLE as error:
        # A server may answer anything; one check that cannot make sense of it must not end the run.
        outcome.reasons.append(f"the check could not read an answer of this server ({type(error).__name__}: {error})")


def _weigh(exchanges: Sequence[Exchange], outcomes: Iterable[Outcome]) -> None:
    outcomes = list(outcomes)
    for exchange in exchanges:
        for outcome in outcomes:
            if outcome.check.of is Way.EXCHANGE:
                _try(outcome.check, exchange, outcome)
        if exchange.purpose is Purpose.CALL and exchange.status == 200 and not exchange.document.problem:
            judge(Subject.RESPONSE, Node(exchange.document.value), outcomes, exchange.name)


def judge(subject: Subject, document: Node, outcomes: Iterable[Outcome], request: str = "") -> None:
    """Hands every part of a document to the checks that are about it."""
    by_subject: dict[Subject, list[Outcome]] = {}
    for outcome in outcomes:
        if isinstance(outcome.check.of, Subject):
            by_subject.setdefault(outcome.check.of, []).append(outcome)
    for part, node in parts_of(subject, document):
        for outcome in by_subject.get(part, ()):
            _try(outcome.check, node, outcome, request)
