"""Two readers of FHIR, held together: each element that a lean struct keeps is what `fhir.resources` says it is.

Walked at once: the lean struct, the full model and the JSON that both were read from. A string must be the JSON's own,
letter by letter; numbers, dates and choices must be equal in both readers; an element that the lean struct knows and
the sender gave must not be lost.
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fhir.record.resources import READ_TYPES, Observation, decoder
from tests import medication_strategies, strategies
from tests.conftest import examples

READ = {struct.__name__ for struct in READ_TYPES} - {"Bundle", "OperationOutcome"}
THEIR_NAMES = {"class": "class_fhir"}  # `class` is a word of Python
MOST_PER_FILE_AND_TYPE = 8
FEW = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])

Json = dict[str, Any]


def differences(lean: object, full: Any, raw: Any, where: str) -> Iterator[str]:
    if isinstance(lean, msgspec.Struct):
        for attribute, name in zip(lean.__struct_fields__, lean.__struct_encode_fields__, strict=True):
            theirs = getattr(full, THEIR_NAMES.get(name, name), None)
            yield from differences(getattr(lean, attribute), theirs, (raw or {}).get(name), f"{where}.{name}")
    elif isinstance(lean, tuple):
        if not len(lean) == len(full or ()) == len(raw or ()):
            yield f"{where}: {len(lean)} items, {len(full or ())} in fhir.resources, {len(raw or ())} in the JSON"
        for number, (item, theirs, given_) in enumerate(zip(lean, full or (), raw or (), strict=False)):
            yield from differences(item, theirs, given_, f"{where}[{number}]")
    elif isinstance(lean, float):
        if not lean == float(full) == float(raw):  # a double holds no more than 15 digits; both are rounded alike
            yield f"{where}: {lean!r}, {full!r} in fhir.resources, {raw!r} in the JSON"
    elif (lean, raw, full) != ("", None, None) and not (lean == raw and same_value(lean, full)):
        yield f"{where}: {lean!r}, {full!r} in fhir.resources, {raw!r} in the JSON"


def same_value(lean: Any, full: Any) -> bool:
    """`fhir.resources` parses dates and times; the lean reader keeps the text as charted."""
    if isinstance(full, datetime):
        return datetime.fromisoformat(lean) == full
    if isinstance(full, date):
        return date.fromisoformat(lean) == full
    if isinstance(full, time):
        return time.fromisoformat(lean) == full
    return bool(lean == full)


def read_lean(resource: Json) -> Any:
    """The lean struct; None where it is refused for the one reason it may be: the status that says whether it is a
    fact is absent (R4 allows that with an extension)."""
    text = json.dumps(resource)  # orjson writes no number beyond 64 bits
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        if "_status" not in text:
            raise
        return None


def assert_readers_agree(resource: Json) -> None:
    kind = resource["resourceType"]
    full = get_fhir_model_class(kind).model_validate(resource)
    lean = read_lean(resource)
    if lean is None:
        return
    assert type(lean).__name__ == kind
    assert list(differences(lean, full, resource, f"{kind}/{resource.get('id')}")) == []


def entries(bundle: Json) -> Iterator[Json]:
    return (entry["resource"] for entry in bundle["entry"]) if bundle["resourceType"] == "Bundle" else iter([bundle])


MADE: dict[str, SearchStrategy[Json]] = {
    "Patient": strategies.patients(), "Observation": strategies.observations(), "Condition": strategies.conditions(),
    "MedicationRequest": medication_strategies.medication_requests(),
    "MedicationStatement": medication_strategies.medication_statements(),
    "MedicationDispense": medication_strategies.medication_dispenses(),
    "MedicationAdministration": medication_strategies.medication_administrations(),
    "Medication": medication_strategies.medications(), "AllergyIntolerance": strategies.allergies(),
    "Encounter": strategies.encounters(), "Procedure": strategies.procedures(),
    "DiagnosticReport": strategies.diagnostic_reports(), "ServiceRequest": strategies.service_requests(),
    "Appointment": strategies.appointments(), "Coverage": strategies.coverages(),
    "Immunization": strategies.immunizations(), "Device": strategies.devices(), "CarePlan": strategies.care_plans(),
    "DocumentReference": strategies.documents(), "FamilyMemberHistory": strategies.relatives(),
    "Consent": strategies.consents(), "Flag": strategies.flags(),
    "PractitionerRole": strategies.practitioner_roles(),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(READ))
@FEW
@given(data=st.data())
def test_both_readers_agree_on_ugly_resources(kind: str, data: st.DataObject) -> None:
    assert_readers_agree(data.draw(MADE[kind]))


@settings(FEW, max_examples=examples(25))
@given(bundle=strategies.bundles(at_most=4))
def test_both_readers_agree_on_ugly_bundles(bundle: Json) -> None:
    assert_readers_agree(bundle)


def bundle_files(data_folder: Path) -> list[Path]:
    return sorted((data_folder / "fhir").glob("*/*.json.gz"))


def few_of_each_type(path: Path) -> Iterator[Json]:
    """At most so many of each type, spread over the whole file."""
    bundle = orjson.loads(gzip.decompress(path.read_bytes()))
    of_type: dict[str, list[Json]] = {}
    for resource in entries(bundle):
        of_type.setdefault(resource["resourceType"], []).append(resource)
    for kind in sorted(READ & set(of_type)):
        found = of_type[kind]
        yield from islice(found, 0, None, max(1, -(-len(found) // MOST_PER_FILE_AND_TYPE)))


def test_no_reference_range_is_read_so_none_can_be_of_the_wrong_sex() -> None:
    """docs/services.md says that values are compared with the limits of rules and never with a range of the chart."""
    haemoglobin = {"resourceType": "Observation", "status": "final", "code": {"text": "Haemoglobin"}}
    ranged = haemoglobin | {"referenceRange": [{"low": {"value": 12.0}, "appliesTo": [{"text": "female"}]}]}
    first, second = (msgspec.convert(chart, Observation) for chart in (haemoglobin, ranged))
    assert first == second


@pytest.mark.slow
@pytest.mark.outside_data
def test_both_readers_agree_on_real_charts(data_folder: Path) -> None:
    """At most eight resources of each type of each of the 148 files: 6,239 in all (20 November 2026)."""
    compared: Counter[str] = Counter()
    for path in bundle_files(data_folder):
        for resource in few_of_each_type(path):
            assert_readers_agree(resource)
            compared[resource["resourceType"]] += 1
    in_no_chart = {
        "ServiceRequest",
        "Appointment",
        "Consent",
        "Coverage",
        "DocumentReference",
        "Flag",
        "PractitionerRole",
    }
    assert set(compared) == READ - in_no_chart - {"FamilyMemberHistory"}
    assert compared.total() > 5_000
