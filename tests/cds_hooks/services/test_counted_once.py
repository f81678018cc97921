"""One resource counts once, however often and in whatever parts it comes: every service, and every feature."""

import re
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from cds_hooks.kit.samples.loader import list_samples, load_patient
from fhir.mapping.features.catalog import FEATURES
from fhir.record.record import read_record, read_value
from fhir.record.resources import Bundle, BundleEntry
from tests.cds_hooks.services.test_every_service import CALLS, answers_to, requests_of, without_ids

Json = dict[str, Any]
_NEW_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _doubled(prefetch: Json) -> Json:
    """Every entry of every Bundle twice."""
    return _with_entries(prefetch, lambda entries: [*entries, *deepcopy(entries)])


def _under_two_keys(prefetch: Json) -> Json:
    """Every Bundle a second time under another key."""
    return prefetch | {f"{key}Again": value for key, value in prefetch.items() if _is_bundle(value)}


def _in_parts(prefetch: Json) -> Json:
    """The second half of every Bundle under a key of its own, as a client sends the pages of a search."""
    rest = {f"{key}Rest": value for key, value in prefetch.items() if _is_bundle(value)}
    return _with_entries(prefetch, lambda entries: entries[: len(entries) // 2]) | _with_entries(
        rest, lambda entries: entries[len(entries) // 2 :]
    )


def _is_bundle(value: Any) -> bool:
    return isinstance(value, dict) and value["resourceType"] == "Bundle"


def _with_entries(prefetch: Json, change: Any) -> Json:
    """The prefetch with other entries; no Bundle says how many there are, or half of it would be told to be partial."""
    return {
        key: {"resourceType": "Bundle", "type": "searchset", "entry": change(value.get("entry", []))}
        if _is_bundle(value)
        else value
        for key, value in prefetch.items()
    }


def _as_it_is(entries: list[Any]) -> list[Any]:
    return entries


@pytest.mark.slow
@pytest.mark.parametrize(("service", "hook"), CALLS)
def test_a_chart_that_comes_twice_or_in_parts_has_the_answer_of_the_chart(
    service: str, hook: str, tmp_path: Path, as_of: datetime
) -> None:
    requests = [
        request | {"prefetch": _with_entries(request["prefetch"], _as_it_is)}
        for request in requests_of(service, hook, as_of)
    ]

    def answers(asked: list[Json]) -> list[Any]:
        texts = [_NEW_ID.sub("", answer.text) for answer in answers_to(asked, service, tmp_path, as_of)]
        return [without_ids(orjson.loads(text)) for text in texts]

    expected = answers(requests)
    for change in (_doubled, _under_two_keys, _in_parts):
        changed = [request | {"prefetch": change(request["prefetch"])} for request in requests]
        assert answers(changed) == expected, change.__doc__


@pytest.mark.parametrize("sample", [sample.id for sample in list_samples()])
@pytest.mark.parametrize("has_ids", [True, False])
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
