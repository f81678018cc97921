"""The samples as the tests of this folder read them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from cds_hooks.samples import Sample, list_samples, load_patient

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
# What the messy record holds on purpose: a string, a text and a number where R4 has an object, a decimal and a string.
BROKEN = {"messy-record-broken-1", "messy-record-broken-2", "messy-record-broken-3"}
EACH_SAMPLE = pytest.mark.parametrize("sample", list_samples(), ids=lambda sample: sample.id)


@cache
def patient_bundle(sample_id: str, as_of: datetime = AS_OF) -> dict[str, Any]:
    return load_patient(sample_id, as_of)


def resources(bundle: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if bundle["resourceType"] != "Bundle":
        yield bundle
        return
    for entry in bundle["entry"]:
        yield entry["resource"]


def whole_resources(sample: Sample) -> Iterator[dict[str, Any]]:
    return (resource for resource in resources(patient_bundle(sample.id)) if resource["id"] not in BROKEN)
