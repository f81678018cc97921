"""Every decision is computed again from its chart and facts: the same scores, cards and silences."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import inf, nextafter
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from msgspec import structs

from cds_hooks.call.services import find_services
from cds_hooks.evidence.replay.basis import read_basis
from cds_hooks.evidence.storage.queries import charts_of, facts_of
from cds_hooks.samples import load_draft
from cds_hooks.tools.kit.simulator.chart import Chart, last_event, move_dates, read_chart, resources_of
from tests.cds_hooks.evidence.replay.answered import (
    DRAFT,
    answered,
    calls_about,
    not_the_same,
    record_at,
    sample_calls,
    verdicts,
)
from tests.strategies import bundles

Json = dict[str, Any]
ORDERS = "order-safety"
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("service", find_services(file="separate"))
def test_every_call_about_the_samples_is_the_same_from_its_facts(service: str, every: int, tmp_path: Path) -> None:
    url = record_at(tmp_path)
    decisions = answered(url, sample_calls(service, NOW, every), NOW)
    assert decisions or (service == "order-safety-dispatch" and every > 1)
    assert not_the_same(verdicts(url, decisions)) == []


def test_a_call_that_judged_orders_as_of_an_earlier_one_names_that_instant_and_is_the_same(tmp_path: Path) -> None:
    url, now = record_at(tmp_path), datetime.now(UTC)
    calls = [call for call in list(sample_calls(ORDERS, now, 6))[:6] for _ in range(4)]
    decisions = answered(url, calls, None)
    assert not_the_same(verdicts(url, decisions)) == []
    instants = [read_basis(decision.basis).as_of for decision in decisions]
    assert len(set(instants)) < len(decisions)


def _strange_calls(bundle: Json) -> list[tuple[str, Json]]:
    chart = Chart([entry["resource"] for entry in bundle["entry"]])
    drafts = resources_of(load_draft(DRAFT, NOW))
    return list(calls_about(chart, drafts))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of one record for many calls."""
    return record_at(tmp_path_factory.mktemp("strange"))


@pytest.mark.slow
@settings(max_examples=3, suppress_health_check=[HealthCheck.too_slow])
@given(bundle=bundles())
def test_calls_about_strange_patients_are_the_same_from_their_facts(bundle: Json, record: str) -> None:
    assert not_the_same(verdicts(record, answered(record, _strange_calls(bundle), NOW))) == []


def _case_calls(folder: Path, every: int) -> list[tuple[datetime, str, Json]]:
    found = []
    for path in sorted(folder.glob("oc-*.json"))[::every]:
        case = orjson.loads(path.read_bytes())
        found.append((datetime.fromisoformat(case["as_of"]), ORDERS, case["request"]))
    return found


@pytest.mark.outside_data
@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow)])
def test_the_cases_of_others_are_the_same_from_their_facts(every: int, data_folder: Path, tmp_path: Path) -> None:
    url = record_at(tmp_path)
    decisions = [
        decision
        for as_of, service, request in _case_calls(data_folder / "cases" / "order-select", every)
        for decision in answered(url, [(service, request)], as_of)
    ]
    assert len(decisions) > 2
    assert not_the_same(verdicts(url, decisions)) == []


@pytest.mark.slow
@pytest.mark.outside_data
@pytest.mark.parametrize("source", ["mimic-iv-demo", "synthea"])
def test_whole_charts_are_the_same_from_their_facts(source: str, data_folder: Path, tmp_path: Path) -> None:
    url = record_at(tmp_path)
    calls: list[tuple[str, Json]] = []
    for path in sorted((data_folder / "fhir" / source).glob("*.json.gz"))[::9]:
        resources = read_chart(path).resources
        last = last_event(resources)
        days = (NOW - timedelta(minutes=10) - last) // timedelta(days=1) if last else 0
        calls += calls_about(Chart(move_dates(resources, days)), resources_of(load_draft(DRAFT, NOW)))
    decisions = answered(url, calls, NOW)
    assert len(decisions) > 50
    assert not_the_same(verdicts(url, decisions)) == []


def _one(tmp_path: Path, sample: str = "ckd4-metformin", **changed: Any) -> tuple[str, Any]:
    """The record with one call of order-sign about a sample, and its decision."""
    url = record_at(tmp_path)
    calls = [
        (service, request)
        for service, request in sample_calls(ORDERS, NOW)
        if request["hook"] == "order-sign" and request["context"]["patientId"].startswith(sample)
    ]
    (decision,) = answered(url, calls[:1], NOW, **changed)
    return url, decision


def test_the_facts_name_neither_patient_nor_user(tmp_path: Path) -> None:
    url, decision = _one(tmp_path)
    (facts,), (chart,) = facts_of(url, [decision.id]).values(), charts_of(url, [decision.id]).values()
    facts += chart
    assert decision.patient
    assert f"Patient/{decision.patient}".encode() not in facts
    assert b"cds-hooks-call" not in facts
    assert b'"userId":"Practitioner/-"' in facts
    for member in (b'"name"', b'"address"', b'"telecom"', b'"identifier"'):
        assert member not in facts


def test_the_facts_do_not_name_the_patient_where_the_references_are_written_in_full(tmp_path: Path) -> None:
    url = record_at(tmp_path)
    (service, request) = next(
        (service, request) for service, request in sample_calls(ORDERS, NOW) if request["hook"] == "order-sign"
    )
    patient = request["context"]["patientId"]
    full = orjson.dumps(request["prefetch"]).replace(b'"Patient/', b'"https://fhir.example.org/r4/Patient/')
    (decision,) = answered(url, [(service, request | {"prefetch": orjson.loads(full)})], NOW)
    (facts,) = charts_of(url, [decision.id]).values()
    assert b'"resourceType":"MedicationRequest"' in facts
    assert f"Patient/{patient}".encode() not in facts


def test_a_site_that_keeps_no_facts_is_told_why_nothing_is_replayed(tmp_path: Path) -> None:
    url, decision = _one(tmp_path, keep_facts=False)
    assert facts_of(url, [decision.id]) == charts_of(url, [decision.id]) == {}
    assert len(json.loads(decision.basis)["chart"]) == 64
    (found,) = verdicts(url, [decision])
    assert found.outcome == "not-replayed"
    assert "CDS_KEEP_FACTS" in found.because


@pytest.mark.parametrize("service", ["discharge-medications", "medication-review"])
def test_a_decimal_with_a_final_zero_in_an_active_order_is_kept_as_it_came(service: str, tmp_path: Path) -> None:
    body = next(
        orjson.dumps(each) for _, each in sample_calls(service, NOW) if '"value":5,' in orjson.dumps(each).decode()
    )
    url = record_at(tmp_path)
    decisions = answered(url, [(service, body.replace(b'"value":5,', b'"value":5.50,'))], NOW)
    assert len(decisions) == 1
    assert b"5.50" in decisions[0].basis
    assert not_the_same(verdicts(url, decisions)) == []


def _numbers(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every number in a JSON value, as what holds it and its place there."""
    for place, each in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(each, dict | list):
            yield from _numbers(each)
        elif isinstance(each, float):
            yield value, place


def _scored(tmp_path: Path, **changed: Any) -> tuple[str, Any]:
    """The record with one call of a model about a sample who gets its card, and its decision."""
    url = record_at(tmp_path)
    request = next(
        each
        for _, each in sample_calls("planning-conversation", NOW)
        if "planning-talk" in each["context"]["patientId"]
    )
    (decision,) = answered(url, [("planning-conversation", request | changed)], NOW)
    return url, decision


def test_every_planted_difference_of_the_last_bit_of_a_score_is_found(tmp_path: Path) -> None:
    url, decision = _scored(tmp_path)
    basis = json.loads(decision.basis)
    found = list(_numbers(basis["scores"]))
    planted = []
    for inside, place in found:
        was = inside[place]
        inside[place] = nextafter(was, inf)
        planted.append(structs.replace(decision, basis=json.dumps(basis).encode()))
        inside[place] = was
    assert len(planted) > 12
    assert [each.outcome for each in verdicts(url, planted)] == ["differs"] * len(planted)
