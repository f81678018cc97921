"""Whole charts through each service's own prefetch: what a service reads, it must ask for."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from cds_hooks.kit.simulator.chart import Chart
from cds_hooks.kit.simulator.fhir_search import prefetch_from
from cds_hooks.kit.simulator.request import build_request
from cds_hooks.services import find_services
from tests.cds_hooks.calls import client, ours
from tests.cds_hooks.services.chart_cases import reasons_of, text_of
from tests.cds_hooks.services.pinned import CHARTS, FOLDER, texts
from tests.fhir.builders import ICD10, problem

Json = dict[str, Any]


def _day(ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=ago)).strftime("%Y-%m-%d")


def _person(number: int, age: int, sex: str = "female") -> Json:
    return {"resourceType": "Patient", "id": f"whole-{number}", "gender": sex, "birthDate": _day(age * 366)}


def _problem(words: str, code: str | None = None, ago: int = 400) -> Json:
    coding = [{"system": ICD10, "code": code}] if code else []
    return problem(
        {"text": words, "coding": coding},
        patient=None,
        id=f"problem-{words[:20].replace(' ', '-')}",
        onsetDateTime=_day(ago),
    )


def _asked(server: str, service: str, chart: list[Json]) -> httpx.Response:
    person, *others = chart
    subject = {"reference": f"Patient/{person['id']}"}
    whole = Chart([person, *({**one, "subject": subject} for one in others)])
    entry = next(each for each in find_services()[service].discovery() if each["hook"] == "patient-view")
    answer = httpx.post(f"{server}/cds-services/{entry['id']}", json=build_request(entry, whole, []), timeout=60)
    answer.raise_for_status()
    return answer


def test_a_statin_is_not_discussed_with_rhabdomyolysis_on_record(server_here: str) -> None:
    chart = [_person(3, 60), _problem("Type 2 diabetes mellitus"), _problem("Rhabdomyolysis", "M62.82", 3)]
    answer = _asked(server_here, "statin-discussion", chart)
    assert not answer.json()["cards"]
    assert "Rhabdomyolysis is on record" in str(ours(answer)["silence"])
    (card,) = _asked(server_here, "statin-discussion", [_person(4, 60), *chart[1:2]]).json()["cards"]
    assert card["summary"].startswith("Diabetes, age ")


# The charts of a clinical review (../shared/data/cases/review-2) get the cards that the reviewer expects.
async def _answers(folder: Path, cases: list[Json]) -> list[Json]:
    (as_of,) = {case["as_of"] for case in cases}
    async with client(folder, as_of=datetime.fromisoformat(as_of)) as calls:
        return [await _answer(calls, case, datetime.fromisoformat(as_of)) for case in cases]


async def _answer(calls: Any, case: Json, as_of: datetime) -> Json:
    request = {name: value for name, value in case["request"].items() if name != "pool"}
    entries = find_services()[case["service"]].discovery()
    entry = next(entry for entry in entries if entry["hook"] == request["hook"])
    pool, context = case["request"]["pool"], request["context"]
    request["prefetch"] = prefetch_from(pool, entry["prefetch"], context, as_of.date())
    reply = await calls.post(f"/cds-services/{entry['id']}", json=request)
    assert reply.status_code == 200, reply.text
    answer: Json = reply.json()
    return answer


def _faults(case: Json, answer: Json) -> list[str]:
    text, faults = text_of(answer), []
    if case.get("no_card") and answer["cards"]:
        faults.append("a card")
    if case.get("must") and not re.search(case["must"], text):
        faults.append(f"not {case['must']}")
    if case.get("must_not") and re.search(case["must_not"], text):
        faults.append(case["must_not"])
    if case.get("silence") and case["silence"] not in reasons_of(answer):
        faults.append(f"no reason {case['silence']}")
    return faults


def test_each_chart_of_the_review_is_answered_as_a_clinician_expects(tmp_path: Path, data_folder: Path) -> None:
    lines = (data_folder / "cases" / "review-2" / "charts.jsonl").read_text("utf-8").splitlines()
    cases = [json.loads(line) for line in lines]
    answers = asyncio.run(_answers(tmp_path, cases))
    wrong = {
        case["id"]: faults for case, answer in zip(cases, answers, strict=True) if (faults := _faults(case, answer))
    }
    assert not wrong


# What a card of each service says, whole: a change of a word, a figure or a source is a change of a reviewed text.
CONFIRM = "review the text, then: .venv/bin/python -m tests.cds_hooks.services.pinned --write"


def test_each_service_says_what_was_reviewed() -> None:
    current = texts()
    reviewed = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.txt")}
    assert set(CHARTS) <= current.keys()
    assert current.keys() == reviewed.keys(), CONFIRM
    for service, text in current.items():
        assert text.splitlines() == reviewed[service].splitlines(), f"{service}: {CONFIRM}"
