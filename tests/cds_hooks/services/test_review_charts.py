"""The charts of a clinical review (../shared/data/cases/review-2) get the cards that the reviewer expects."""

import asyncio
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from cds_hooks.kit.simulator.fhir_search import prefetch_from
from cds_hooks.services import find_services
from tests.cds_hooks.calls import client
from tests.cds_hooks.services.chart_cases import reasons_of, text_of

Json = dict[str, Any]


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
