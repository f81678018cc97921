"""Every feature has the same value in a hook call, in the scores of a folder, and of the facts that events brought."""

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cds_hooks.add_ons.events.facts import Effects, Fact, chart_of
from cds_hooks.add_ons.events.inbox import Inbox, Incoming
from cds_hooks.add_ons.events.rescoring import prefetch_of
from cds_hooks.call.prefetch.needs import Needs, templates_for
from cds_hooks.call.prefetch.state import Templates, inspect_prefetch
from cds_hooks.samples import list_samples, load_patient
from cds_hooks.tools.batch.charts import RawChart, Wanted
from cds_hooks.tools.batch.scoring import read_chart
from cds_hooks.tools.kit.simulator.chart import resources_of
from cds_hooks.tools.kit.simulator.fhir_search import prefetch_from
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import Feature, FeatureVector, map_features
from fhir.record.record import PatientRecord, read_record, read_value
from tests.cds_hooks.samples.reading import AS_OF
from tests.each import for_rows

ALL = tuple(FEATURES.values())
TEMPLATES = templates_for(Needs.of(features=ALL))
WANTED = Wanted.of(Needs.of(features=ALL))
_COUNT = re.compile(r"&_count=\d+")


def hook_values(resources: list[dict[str, Any]], as_of: datetime, features: tuple[Feature, ...]) -> NDArray[np.float64]:
    """The values of these features in a call of a service that needs them."""
    templates = templates_for(Needs.of(features=features))
    return map_features(hook_record(resources, as_of, None, templates), features).values


def hook_record(
    resources: list[dict[str, Any]], as_of: datetime, encounter: str | None, templates: Templates = TEMPLATES
) -> PatientRecord:
    """The facts that a service has which needs every feature, of the prefetch that its client sends."""
    patient = next(resource["id"] for resource in resources if resource["resourceType"] == "Patient")
    # Of a chart with more than the newest results that are asked for the rest comes as further pages.
    queries = {each.key: _COUNT.sub("", each.query) for each in templates if not each.is_of_3}
    answers = prefetch_from(resources, queries, {"patientId": patient}, as_of.date())
    values = {key: read_value(key, json.dumps(answer).encode())[0] for key, answer in answers.items()}
    state = inspect_prefetch(values, templates, as_of.timestamp())
    return read_record(values, patient, as_of, requested=state.looked_up, encounter_id=encounter)


def panel_record(resources: list[dict[str, Any]], as_of: datetime) -> PatientRecord:
    """The facts that the scores of a folder rest on."""
    patient = next(resource["id"] for resource in resources if resource["resourceType"] == "Patient")
    lines = [json.dumps(resource, separators=(",", ":")).encode() for resource in resources]
    of_types = [
        line for line, resource in zip(lines, resources, strict=True) if resource["resourceType"] in WANTED.types
    ]
    return read_chart(RawChart(patient, of_types), as_of)


def event_record(resources: list[dict[str, Any]], as_of: datetime, encounter: str | None) -> PatientRecord:
    """The facts that a service has when events brought this chart, each resource as one fact."""
    patient = next(resource["id"] for resource in resources if resource["resourceType"] == "Patient")
    message = Incoming("ehr", "1", "event-notification", b"", as_of.timestamp())
    message.effects = Effects([Fact(patient, resource, 1.0) for resource in resources])
    with TemporaryDirectory() as folder, closing(Inbox(Path(folder) / "events.sqlite3")) as inbox:
        inbox.take([message])
        with inbox.transaction() as connection:
            chart = chart_of(connection, patient)
    templates = [template for template in TEMPLATES if not template.is_of_3]
    answers = prefetch_of(templates, chart, {template.resource for template in templates})
    values = {key: read_value(key, json.dumps(answer).encode())[0] for key, answer in answers.items()}
    state = inspect_prefetch(values, TEMPLATES, as_of.timestamp())
    return read_record(values, patient, as_of, requested=state.looked_up, encounter_id=encounter)


def differences(hook: FeatureVector, panel: FeatureVector) -> list[str]:
    """The features whose value is not the same, or the date of a measured one."""
    rows = zip(ALL, hook.values, hook.evidence, panel.values, panel.evidence, strict=True)
    return [
        f"{feature.name}: {ours} and {theirs}"
        for feature, ours, in_hook, theirs, in_panel in rows
        if not np.array_equal(ours, theirs, equal_nan=True)
        or (in_hook and in_hook.is_measured and in_hook.effective)
        != (in_panel and in_panel.is_measured and in_panel.effective)
    ]


def ends_of_stays(resources: list[dict[str, Any]]) -> Iterator[tuple[str, datetime]]:
    """The newest stay in hospital that ended at an instant, with it: a discharge is called then."""
    ends = [
        (resource["period"]["end"], resource["id"])
        for resource in resources
        if resource["resourceType"] == "Encounter"
        and resource.get("class", {}).get("code") in ("IMP", "ACUTE")
        and "T" in resource.get("period", {}).get("end", "")
    ]
    for end, identity in sorted(ends)[-1:]:
        yield identity, datetime.fromisoformat(end).astimezone(UTC)


def assert_the_same(resources: list[dict[str, Any]], as_of: datetime) -> None:
    calls = [(as_of, None), *((moment, stay) for stay, moment in ends_of_stays(resources))]
    for moment, encounter in calls:
        hook = map_features(hook_record(resources, moment, encounter), ALL)
        assert not differences(hook, map_features(panel_record(resources, moment), ALL)), (moment, encounter)
        assert not differences(hook, map_features(event_record(resources, moment, encounter), ALL)), moment


@for_rows("sample", [sample.id for sample in list_samples()])
def test_a_sample_patient_has_the_same_features_in_every_hook_in_scores_and_by_event(sample: str) -> None:
    assert_the_same(resources_of(load_patient(sample, AS_OF)), AS_OF)


@pytest.mark.slow
def test_charts_of_others_have_the_same_features_in_every_hook_in_scores_and_by_event(data_folder: Path) -> None:
    paths = sorted((data_folder / "fhir").glob("*/*.json.gz"))[::8]
    assert paths
    for path in paths:
        resources = resources_of(json.loads(gzip.decompress(path.read_bytes())))
        dates = [
            text
            for text in json.dumps(resources).split('"')
            if text[:2] in ("19", "20", "21", "22") and len(text) >= 19 and "T" in text
        ]
        newest = max(dates, default="2026-01-01T00:00:00Z")
        assert_the_same(resources, datetime.fromisoformat(newest).astimezone(UTC))


VISIT = {"resourceType": "Encounter", "status": "finished", "subject": {"reference": "Patient/p"}}
PATIENT = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1950-01-01"}


def stay(number: int, month: int, code: str = "IMP") -> dict[str, Any]:
    """A stay or visit of two days in a month of 2026."""
    period = {"start": f"2026-{month:02}-03T10:00:00Z", "end": f"2026-{month:02}-05T10:00:00Z"}
    return {**VISIT, "id": f"e{number}", "class": {"code": code}, "period": period}


def test_a_visit_that_goes_on_is_not_one_of_the_earlier_ones() -> None:
    now = {**stay(1, 11, "EMER"), "status": "in-progress", "period": {"start": "2026-11-20T07:00:00Z"}}
    forgotten = {**now, "id": "e2", "period": {"start": "2026-10-01T07:00:00Z"}}
    for visits, count in (([now], 0), ([forgotten], 1), ([now, forgotten], 1)):
        vector = map_features(hook_record([PATIENT, *visits], AS_OF, None), (FEATURES["ed_visits_6m"],))
        assert vector.values[0] == count
