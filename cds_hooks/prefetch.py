"""What a service needs, as prefetch templates; and which of it a call has brought.

Templates are derived from features and rules, so nothing is asked for that nothing uses. They keep to the restricted
subset of CDS Hooks 2.0.1 (reads, type-level searches, equality, `_count`, `_sort`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir.mapping.feature import Feature
from fhir.record.refusal import Refusal
from fhir.record.resources import Bundle, Observation, OperationOutcome
from fhir.terminology.analytes import ANALYTES, LOINC

_PATIENT = "patient={{context.patientId}}"
# Both carry the pressures as components, which a search by the components' own codes does not find.
_PRESSURE_PANELS = ("85354-9", "55284-4")
_BODY = frozenset({"bmi", "body_weight", "body_height"})
_PRESSURE = frozenset({"sbp", "dbp"})

_SEARCHES = {
    "conditions": ("Condition", f"Condition?{_PATIENT}"),
    "medications": ("MedicationRequest", f"MedicationRequest?{_PATIENT}&_sort=-authoredon&_count=200"),
    "statements": ("MedicationStatement", f"MedicationStatement?{_PATIENT}"),
    "allergies": ("AllergyIntolerance", f"AllergyIntolerance?{_PATIENT}"),
    "encounters": ("Encounter", f"Encounter?{_PATIENT}&_sort=-date&_count=50"),
    "procedures": ("Procedure", f"Procedure?{_PATIENT}&_sort=-date&_count=100"),
    "tests": ("ServiceRequest", f"ServiceRequest?{_PATIENT}&_sort=-authored&_count=50"),
}


@dataclass(frozen=True, slots=True)
class Template:
    """One prefetch key: its query, the resource type it brings, and for Observations the analytes."""

    key: str
    query: str
    resource: str
    analytes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Needs:
    """What a service reads: analytes (keys of ANALYTES) and resource types, beyond the Patient."""

    analytes: frozenset[str]
    resources: frozenset[str]

    @staticmethod
    def of(features: Iterable[Feature] = (), analytes: Iterable[str] = (), resources: Iterable[str] = ()) -> "Needs":
        """The needs of these features together with these analytes and resource types."""
        measured = {analyte for feature in features for analyte in feature.analytes}
        return Needs(frozenset(measured | set(analytes)), frozenset(resources))


def templates_for(needs: Needs) -> tuple[Template, ...]:
    """The templates that bring what is needed, `patient` first."""
    found = [Template("patient", "Patient/{{context.patientId}}", "Patient")]
    labs = needs.analytes - _BODY - _PRESSURE
    for key, analytes, count in (
        ("labs", labs, 500),
        ("pressures", needs.analytes & _PRESSURE, 50),
        ("body", needs.analytes & _BODY, 50),
    ):
        if analytes:
            found.append(Template(key, _observations(analytes, count), "Observation", frozenset(analytes)))
    unknown = needs.resources - {"Patient", "Observation"} - {resource for resource, _ in _SEARCHES.values()}
    if unknown:
        raise ValueError(f"no prefetch template brings {', '.join(sorted(unknown))}; add one to _SEARCHES")
    for key, (resource, query) in _SEARCHES.items():
        if resource in needs.resources:
            found.append(Template(key, query, resource))
    return tuple(found)


def _observations(analytes: Iterable[str], count: int) -> str:
    codes = [code for key in sorted(analytes) for code in ANALYTES[key].loinc]
    if _PRESSURE & set(analytes):
        codes = [*_PRESSURE_PANELS, *codes]
    tokens = ",".join(f"{LOINC}|{code}" for code in codes)
    return f"Observation?{_PATIENT}&code={tokens}&_sort=-date&_count={count}"


@dataclass(frozen=True, slots=True)
class Brought:
    """Which needs a call has answered: resource types and analytes that were asked for, found or not."""

    known: frozenset[str]
    refusals: tuple[Refusal, ...]


def what_was_brought(prefetch: Mapping[str, Any], templates: tuple[Template, ...]) -> Brought:
    """Tells "asked, none found" from "not asked": null and an empty Bundle are answers, an absent key is not.

    A client may use its own key names: what a value holds counts as asked for, too.
    """
    by_key = {template.key: template for template in templates}
    known: set[str] = set()
    refusals: list[Refusal] = []
    for key, value in prefetch.items():
        if _has_failed(value):
            text = f"prefetch.{key} failed at the client (OperationOutcome): treated as not known."
            refusals.append(Refusal(f"prefetch.{key}", "prefetch-failed", text))
            continue
        template = by_key.get(key)
        if template is not None:
            known.add(template.resource)
            known |= template.analytes
        else:
            known |= _held_by(value, templates)
    return Brought(frozenset(known), tuple(refusals))


def _has_failed(value: Any) -> bool:
    if isinstance(value, OperationOutcome):
        return True
    if not isinstance(value, Bundle) or not value.entry:
        return False
    outcomes: list[OperationOutcome] = []
    for entry in value.entry:
        if not isinstance(entry.resource, OperationOutcome):
            return False  # something was found
        outcomes.append(entry.resource)
    return not all(_says_none_found(outcome) for outcome in outcomes)


def _says_none_found(outcome: OperationOutcome) -> bool:
    # Epic answers an empty search with a Bundle of total 0 that holds an OperationOutcome entry, code 4101.
    return all(issue.severity in ("warning", "information") for issue in outcome.issue)


def _held_by(value: Any, templates: tuple[Template, ...]) -> set[str]:
    resources = [entry.resource for entry in value.entry] if isinstance(value, Bundle) else [value]
    kinds = {type(resource).__name__ for resource in resources}
    held = set(kinds)
    if Observation.__name__ in kinds:
        for template in templates:
            held |= template.analytes
    return held
