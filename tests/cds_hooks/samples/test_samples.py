"""The sample patients and drafts are valid FHIR, hang together and stay as old as their story says."""

import gzip
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from cds_hooks.samples import Sample, list_samples, load_draft, load_patient
from tests.cds_hooks.samples.reading import AS_OF, BROKEN, EACH_SAMPLE, patient_bundle, resources, whole_resources


def test_the_broken_resources_are_broken_and_the_only_ones() -> None:
    found = {r["id"]: r for sample in list_samples() for r in resources(patient_bundle(sample.id)) if r["id"] in BROKEN}
    assert set(found) == BROKEN
    for resource in found.values():
        with pytest.raises(ValidationError):
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def r4_validators(spec_folder: Path) -> dict[str, Any]:
    """One validator per resource type: the schema's own `oneOf` over 148 types costs a hundred times as much."""
    schema = json.loads(gzip.decompress((spec_folder / "fhir-r4.schema.json.gz").read_bytes()))
    """But for what keeps a card back (an opting out, a living will), what is given in a hospital only, and the user."""
    kinds = {r["resourceType"] for sample in list_samples() for r in resources(patient_bundle(sample.id))} | {
        "Medication"
    }
    return {
        kind: jsonschema.Draft6Validator({"$ref": f"#/definitions/{kind}", "definitions": schema["definitions"]})
        for kind in kinds
    }


@pytest.mark.slow
@pytest.mark.outside_data
def test_the_r4_schema_accepts_each_resource_and_each_draft(spec_folder: Path) -> None:
    validators = r4_validators(spec_folder)
    drafts = {order.draft for sample in list_samples() for order in sample.orders}
    subjects = [r for sample in list_samples() for r in whole_resources(sample)]
    subjects += [r for draft in drafts for r in resources(load_draft(draft, AS_OF))]
    for resource in subjects:
        faults = [fault.message for fault in validators[resource["resourceType"]].iter_errors(resource)]
        assert faults == [], resource["id"]
    broken = [r for r in resources(patient_bundle("messy-record")) if r["id"] in BROKEN]
    refused = {r["id"] for r in broken if not validators[r["resourceType"]].is_valid(r)}
    # The schema says what an object may hold, not that there must be one: it lets the string in broken-1 pass.
    assert refused == BROKEN - {"messy-record-broken-1"}


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="healthy-adult"):
        load_patient("nobody", AS_OF)
    with pytest.raises(KeyError, match="metformin-ckd4-coded"):
        load_draft("nothing", AS_OF)


@EACH_SAMPLE
def test_a_year_later_everything_has_moved_by_a_year(sample: Sample) -> None:
    """Instants and days move with the clock; birth dates, being counted in years, to the day of that year."""
    now = patient_bundle(sample.id)
    later = patient_bundle(sample.id, AS_OF + timedelta(days=364))
    for before, after in zip(instants(now), instants(later), strict=True):
        assert datetime.fromisoformat(after) - datetime.fromisoformat(before) == timedelta(days=364)


def instants(bundle: dict[str, Any]) -> list[str]:
    return re.findall(r'"(\d{4}-\d\d-\d\dT[^"]+)"', json.dumps(bundle))
