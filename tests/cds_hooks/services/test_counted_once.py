"""One resource counts once for every feature, however often it comes (for the services: test_relations.py)."""

from copy import deepcopy
from datetime import datetime
from typing import Any

import orjson

from cds_hooks.kit.samples.loader import list_samples, load_patient
from fhir.mapping.features.catalog import FEATURES
from fhir.record.record import read_record, read_value
from fhir.record.resources import Bundle, BundleEntry
from tests.each import for_rows

Json = dict[str, Any]


@for_rows("sample", [sample.id for sample in list_samples()])
@for_rows("has_ids", [True, False])
def test_a_feature_of_doubled_and_shuffled_entries_is_that_of_the_chart(
    sample: str, has_ids: bool, as_of: datetime
) -> None:
    chart, _ = read_value("chart", orjson.dumps(_chart(sample, has_ids, as_of)))
    entries = chart.entry
    twice = Bundle(type="collection", entry=(*entries[::-1], *entries, BundleEntry()))
    patient = next(entry.resource.id for entry in entries if type(entry.resource).__name__ == "Patient")
    first, second = (read_record({"chart": bundle}, patient, as_of) for bundle in (chart, twice))
    for feature in FEATURES.values():
        one, other = feature.read(first), feature.read(second)
        # of two findings of one day that say the same, the first that came is shown
        assert getattr(one, "value", one) == getattr(other, "value", other), feature.name


def _chart(sample: str, has_ids: bool, as_of: datetime) -> Json:
    chart: Json = deepcopy(load_patient(sample, as_of))
    for entry in chart["entry"]:
        if not has_ids and entry["resource"]["resourceType"] == "Observation":
            del entry["resource"]["id"]
    return chart
