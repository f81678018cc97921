"""Coverage requirements at the order: look-alikes, days and places (a row each), the given cases, and real charts."""

import asyncio
import gzip
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from cards.coverage.annotation import coverage_information
from cards.coverage.cards import describe
from cards.coverage.policy import load_policies
from cards.coverage.simulation import judge_chart
from cds_hooks.tools.kit.simulator.fhir_search import prefetch_from
from tests.cds_hooks.call.services.coverage_calls import (
    REFUSALS,
    TODAY,
    Json,
    ahi,
    authorization,
    check_answers,
    concept,
    condition,
    coverage,
    decided,
    entry_for,
    extensions_of,
    faults_of,
    former,
    medication,
    order,
    patient,
    procedure,
    result,
    saturation,
    visit,
    wrong_answers,
)
from tests.cds_hooks.call.services.entries import made, resources_of
from tests.cds_hooks.calls import client
from tests.each import some_of


def span(code: str, start: str, end: str) -> Json:
    """An order for a span of days of service."""
    return order(code, "", occurrencePeriod={"start": start, "end": end})


def with_status(resource: Json, status: str) -> Json:
    """The resource in another state."""
    return resource | {"status": status}


def doubted(resource: Json, word: str = "provisional") -> Json:
    """A problem that nobody has confirmed."""
    return resource | {
        "verificationStatus": concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", word)
    }


def acid(kpa: float, unit: str = "kPa") -> Json:
    """A partial pressure of oxygen on room air."""
    return saturation(0) | result("2703-7", kpa, unit, "2026-11-10")


def changed(resource: Json, *others: Json, **members: Any) -> Json:
    """The resource with the members of the others and these."""
    return {name: value for part in (resource, *others, members) for name, value in part.items()}


_FILE = json.loads(Path(__file__).with_name("coverage_cases.json").read_text())
_KINDS: Mapping[str, Any] = _FILE["resources"] | {
    made.__name__: made
    for made in (
        acid,
        ahi,
        authorization,
        changed,
        concept,
        condition,
        coverage,
        doubted,
        former,
        medication,
        order,
        patient,
        procedure,
        result,
        saturation,
        span,
        visit,
        with_status,
    )
}


def _case(row: Json) -> tuple[Json, list[Json], Json]:
    who = made(row.get("who", ["patient"]), _KINDS)
    payer = made(row.get("payer", ["coverage"]), _KINDS)
    answer = row["answer"]
    expected = _FILE["answers"][answer] if isinstance(answer, str) else answer
    return made(row["order"], _KINDS), [who, payer, *resources_of(row["chart"], _KINDS)], expected


CASES = {row["case"]: _case(row) for row in _FILE["cases"]}


@pytest.mark.sampled
def test_look_alikes_days_and_places_are_told_apart(tmp_path: Path) -> None:
    assert len(CASES) > 300
    assert wrong_answers(tmp_path, dict(some_of(CASES.items(), 3))) == {}


@pytest.mark.outside_data
def test_the_given_cases_are_answered_as_expected(data_folder: Path, tmp_path: Path) -> None:
    paths = sorted((data_folder / "coverage" / "cases").glob("*.json"))
    cases = [case for path in paths if not (case := json.loads(path.read_text()))["config"]]
    assert len(cases) >= 40
    wrong: dict[str, Any] = {}
    for today in sorted({case["today"] for case in cases}):
        of_day = [case for case in cases if case["today"] == today]
        responses = asyncio.run(_ask_cases(tmp_path / today, of_day, date.fromisoformat(today)))
        for case in of_day:
            check_answers(case["id"], responses[case["id"]])
            if faults := list(_faults(case, responses[case["id"]])):
                wrong[case["id"]] = faults
    assert wrong == {}


async def _ask_cases(folder: Path, cases: Iterable[Json], day: date) -> dict[str, Json]:
    folder.mkdir()
    responses = {}
    async with client(folder, as_of=datetime(day.year, day.month, day.day, 12, tzinfo=UTC)) as calls:
        for case in cases:
            entry = await entry_for(calls, case["hook"])
            pool = [each["resource"] for each in case["chart"]["entry"]]
            prefetch = prefetch_from(pool, entry["prefetch"], case["context"], day)
            request = {"hook": case["hook"], "hookInstance": "1", "context": case["context"], "prefetch": prefetch}
            responses[case["id"]] = (await calls.post(f"/cds-services/{entry['id']}", json=request)).json()
    return responses


def _faults(case: Json, response: Json) -> Iterable[Any]:
    extensions = extensions_of(response)
    if case["expected"] is None and extensions:
        yield "answered"
    for expected in case["expected"] or ():
        answer = decided(extensions[expected["order"]][0]) if expected["order"] in extensions else {}
        wanted = expected["coverage-information"]
        names = ("covered", "reason") if case["id"] == "form-nocode" else (
            "covered", "pa-needed", "info-needed", "satisfied-pa-id", "reason",
        )  # fmt: skip
        yield from (
            (name, answer.get(name), wanted.get(name)) for name in names if answer.get(name) != wanted.get(name)
        )
        if ("doc-needed" in answer) != ("doc-needed" in wanted):
            yield "doc-needed"


def check_chart(path: Path, payer: str) -> int:
    """Fails on an answer to an order of the chart that refuses anything; returns how many orders were answered.

    Besides its own orders the chart is asked about one code of each rule, so that criteria are judged on real data.
    """
    rules = load_policies()
    opened = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    resources = [entry["resource"] for entry in json.loads(opened)["entry"]]
    patient_id = next((entry["id"] for entry in resources if entry["resourceType"] == "Patient"), "")
    first = {policy.category: policy.code for policy in rules.every() if policy.payer == payer}
    added = [order(code, subject={"reference": f"Patient/{patient_id}"}) for code in sorted(set(first.values()))]
    excluded = {policy.code for policy in rules.every() if policy.basis == "not-covered"}
    as_of = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC)
    answers = list(judge_chart([*resources, *added], rules, rules.payers[payer], as_of))
    for answer in answers:
        extension = coverage_information(answer, "1", TODAY, TODAY, None)
        assert faults_of(extension) == []
        assert (answer.covered == "not-covered") == (answer.code is not None and answer.code[1] in excluded)
        text = json.dumps([extension, describe(answer), [criterion.question for criterion in answer.missing]]).lower()
        assert not [word for word in REFUSALS if word in text]
    return len(answers)


@pytest.mark.slow
@pytest.mark.outside_data
def test_no_order_of_a_real_chart_is_refused(data_folder: Path) -> None:
    paths = sorted((data_folder / "fhir").glob("*/*.json.gz"))[::40]
    assert sum(check_chart(path, "medicare") for path in paths) > 100
