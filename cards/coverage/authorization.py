"""Reads the status of a prior authorization that was asked for already: a ClaimResponse with an affirmed number."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final

from cards.coverage.order import Json, billing_code, dicts
from cards.coverage.policy import Policy
from fhir.record.datatypes import FhirTime, parse_time

_REVIEW: Final = "codesystem.x12.org/005010/306"
_AFFIRMED: Final = frozenset({"A1"})


def affirmed_number(policy: Policy, authorizations: Iterable[Json], day: date) -> str | None:
    """Return the number of an affirmed prior authorization for the code that is valid on the day of service."""
    for response in authorizations:
        number = response.get("preAuthRef")
        if response.get("use") != "preauthorization" or response.get("status") != "active":
            continue
        if not isinstance(number, str) or not number or response.get("outcome") not in ("complete", "partial"):
            continue
        if _names_code(response, policy.code) and _is_valid(response, policy, day) and _is_affirmed(response):
            return number
    return None


def _codings(value: Any) -> Iterator[Json]:
    """Every Coding in a part of a resource, however deep."""
    if isinstance(value, Mapping):
        yield from dicts(value.get("coding"))
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _codings(part)


def _is_affirmed(response: Json) -> bool:
    """Whether every review decision in it is a certification: any other leaves it open."""
    parts = (response.get("item"), response.get("adjudication"))
    reviews = {
        coding.get("code") for part in parts for coding in _codings(part) if _REVIEW in str(coding.get("system"))
    }
    return bool(reviews) and reviews <= _AFFIRMED


def _names_code(response: Json, code: str) -> bool:
    """Whether the response is about the code: by a billing code of its items, or in the words of its disposition."""
    items = (response.get("addItem"), response.get("item"))
    codes = {billed[1] for part in items for coding in _codings(part) if (billed := billing_code(coding)) is not None}
    if codes:
        return code in codes
    words = "".join(letter if letter.isalnum() else " " for letter in str(response.get("disposition", "")).upper())
    return code in words.split()


def _is_valid(response: Json, policy: Policy, day: date) -> bool:
    """Whether the day lies in its period; without an end, in the days that the policy gives from its start on."""
    period = response.get("preAuthPeriod")
    begin, end = period_of(period if isinstance(period, dict) else {})
    begin = begin or parse_time(str(response.get("created") or ""))
    if begin is not None and begin.first_day > day:
        return False
    if end is not None:
        return end.last_day >= day
    # In a hospital's outpatient department the day of the decision is the first of the days: Noridian, "Prior
    # Authorization - JE Part A" (med.noridianmedicare.com, read 2026-11-23).
    last = (policy.pa_valid_days or -1) - (1 if policy.places else 0)
    return begin is not None and (day - begin.first_day).days <= last


def period_of(period: Json) -> tuple[FhirTime | None, FhirTime | None]:
    """Return the start and the end of a Period, None for what it does not name or what cannot be read."""
    begin, end = (parse_time(str(period.get(name) or "")) for name in ("start", "end"))
    return begin, end
