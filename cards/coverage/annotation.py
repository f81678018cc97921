"""Writes an answer as CRD's extension coverage-information, compares it with one that is there, and checks one.

Source: Da Vinci Coverage Requirements Discovery 2.0.1, StructureDefinition ext-coverage-information with its
constraints crd-ci-q1 to q5.
"""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final

from cards.coverage.determination import Determination
from cards.coverage.order import Json
from cards.coverage.policy import SYSTEMS

URL: Final = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
CRD_CODES: Final = "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"
_REASON_WORDS: Final = {
    "gold-card": "Exempt from prior authorization under the program of the payer",
    "detail-code": "The order has no billing code: too coarse to decide",
}
_WEEKS: Final = "weeks"
# What an answer says; the rest (date, id, contact, wording) may change without anything being new.
_COMPARED: Final = (
    "covered",
    "pa-needed",
    "doc-needed",
    "doc-purpose",
    "info-needed",
    "reason",
    "satisfied-pa-id",
)


def coverage_information(
    answer: Determination, assertion_id: str, today: date, day: date, questionnaire: str | None
) -> Json:
    """Return the extension; `day` is that of service, `questionnaire` the canonical of the form for what is missing."""
    parts: list[Json] = [
        {"url": "coverage", "valueReference": {"reference": answer.coverage}},
        _code("covered", answer.covered),
    ]
    for name, value in (
        ("pa-needed", answer.pa_needed),
        ("doc-needed", answer.doc_needed),
        ("doc-purpose", answer.doc_purpose),
    ):
        if value is not None:
            parts.append(_code(name, value))
    parts += [_code("info-needed", code) for code in answer.info_needed]
    if answer.code is not None:
        system, code = answer.code
        parts.append({"url": "billingCode", "valueCoding": {"system": SYSTEMS[system], "code": code}})
    if answer.reason is not None:
        coding = {"system": CRD_CODES, "code": answer.reason}
        concept = {"coding": [coding], "text": _REASON_WORDS[answer.reason]}
        parts.append({"url": "reason", "valueCodeableConcept": concept})
    parts += _details(answer, day)
    parts += [{"url": "dependency", "valueReference": {"reference": name}} for name in answer.dependencies]
    if answer.doc_needed is not None and questionnaire is not None:
        parts.append({"url": "questionnaire", "valueCanonical": questionnaire})
        if answer.response is not None:
            parts.append({"url": "response", "valueReference": {"reference": answer.response}})
    parts.append({"url": "date", "valueDate": today.isoformat()})
    parts.append({"url": "coverage-assertion-id", "valueString": assertion_id})
    if answer.satisfied_id is not None:
        parts.append({"url": "satisfied-pa-id", "valueString": answer.satisfied_id})
    parts += _contacts(answer)
    return {"url": URL, "extension": parts}


def _code(name: str, code: str) -> Json:
    return {"url": name, "valueCode": code}


def _details(answer: Determination, day: date) -> Iterator[Json]:
    """Yield the limits of what is covered, and the source of an answer that is based on an exclusion."""
    policy = answer.policy
    if policy is None:
        return
    name, _, words = policy.detail.partition(" ")
    number, _, rest = words.partition(" ")
    if name and answer.covered == "covered" and answer.pa_needed == "no-auth":
        value: Json = {"valueQuantity": {"value": int(number), "unit": rest}}
        if name == "allowed-period" and rest == _WEEKS:
            end = day + timedelta(days=7 * int(number) - 1)
            value = {"valuePeriod": {"start": day.isoformat(), "end": end.isoformat()}}
        yield _detail({"coding": [{"system": CRD_CODES, "code": name}]}, value, words)
    if answer.covered == "not-covered":
        yield _detail({"text": "Source of the exclusion"}, {"valueString": policy.source}, policy.category)


def _detail(code: Json, value: Json, qualification: str) -> Json:
    parts = [
        {"url": "code", "valueCodeableConcept": code},
        {"url": "value", **value},
        {"url": "qualification", "valueString": qualification},
    ]
    return {"url": "detail", "extension": parts}


def _contacts(answer: Determination) -> Iterator[Json]:
    payer = answer.payer
    if payer.phone:
        yield {"url": "contact", "valueContactPoint": {"system": "phone", "value": payer.phone}}
    if payer.url:
        yield {"url": "contact", "valueContactPoint": {"system": "url", "value": payer.url}}


# An extension that is on the order


def of_coverage(resource: Json, coverage: str) -> list[Json]:
    """Return the coverage-information extensions of an order about this coverage."""
    extensions = resource.get("extension")
    return [
        extension
        for extension in (extensions if isinstance(extensions, list) else [])
        if isinstance(extension, dict)
        and extension.get("url") == URL
        and any((part.get("valueReference") or {}).get("reference") == coverage for part in parts_of(extension))
    ]


def parts_of(extension: Json) -> list[Json]:
    """Return the parts of a coverage-information extension."""
    parts = extension.get("extension")
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def values_of(extension: Json) -> dict[str, list[Any]]:
    """Return the values of an extension by the names of its parts."""
    values: dict[str, list[Any]] = {}
    for part in parts_of(extension):
        value = next((value for name, value in part.items() if name.startswith("value")), None)
        values.setdefault(str(part.get("url")), []).append(value)
    return values


def says_the_same(extension: Json, earlier: Json) -> bool:
    """Whether nothing that a payer decides differs; a new date or id alone is nothing new."""
    return _decided(extension) == _decided(earlier)


def _decided(extension: Json) -> list[list[str]]:
    values = values_of(extension)
    return [sorted(map(_comparable, values.get(name, ()))) for name in _COMPARED]


def _comparable(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(sorted(str(coding.get("code")) for coding in value.get("coding") or () if coding))
    return str(value)


def with_extension(resource: Json, extension: Json, replaced: list[Json]) -> Json:
    """Return the order with the extension in place of earlier ones about the same coverage."""
    kept = [entry for entry in resource.get("extension") or () if all(entry is not old for old in replaced)]
    return {**resource, "extension": [*kept, extension]}
