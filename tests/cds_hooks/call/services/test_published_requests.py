"""Requests that others published, over HTTP: what each must be answered (cases/outside/index.csv of the data)."""

import asyncio
import csv
import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cds_hooks.calls import ORDERS, client
from tests.each import each_row

Json = dict[str, Any]
Finding = tuple[str, str]

# The day that the dates of these files were rolled to (extension dataDateRoller); the others have dates of their own.
_ROLLED = {
    "opioid-cds-r4": datetime(2023, 5, 1, 12, tzinfo=UTC),
    "opioid-cds-stu3": datetime(2022, 4, 28, 12, tzinfo=UTC),
}
_TODAY = datetime(2026, 11, 20, 9, tzinfo=UTC)
_ER_NAIVE, _BENZO, _MME, _NALOXONE = "opioid-er-naive", "opioid-benzo", "opioid-mme", "opioid-naloxone"
# The rules that a file of the opioid guides is about: those that must speak, those that must not (index: "our rule").
SPEAKS: dict[str, set[str]] = {
    "request-example-rec-03-long-acting-opioid": {_ER_NAIVE},
    "request-example-rec-08-on-benzodiazepine": {_NALOXONE},
    "request-example-rec-08-order-sign-on-benzodiazepine": {_NALOXONE},
    "request-example-rec-08-order-sign-substance-abuse": {_NALOXONE},
    "request-example-rec-08-order-sign-mme-doseRange": {_NALOXONE},
    "request-example-rec-11-benzo-trigger-with-opioid": {_BENZO},
    "request-example-rec-11-opioid-trigger-with-benzo": {_BENZO},
    "stu3-request-example-rec-08-on-benzodiazepine": {_BENZO},
    "stu3-request-example-rec-08-mme-greater-than-fifty": {_MME},
}
QUIET: dict[str, set[str]] = {
    "request-example-rec-02-in-careplan-revisited": {_ER_NAIVE, _BENZO, _MME, _NALOXONE},
    "request-example-rec-03-preexisting-long-acting-opioid": {_ER_NAIVE},
    "request-example-rec-04-05-mme-less-than-fifty": {_MME},
    "request-example-rec-08-mme-less-than-fifty": {_MME, _NALOXONE},
    "request-example-rec-08-order-sign-mme-less-than-fifty": {_MME, _NALOXONE},
    "stu3-request-example-rec-08-order-sign-on-naloxone": {_NALOXONE},
}


class Answer(NamedTuple):
    """The status, the body and the findings on its cards."""

    status: int
    body: Json
    findings: set[Finding]


@pytest.fixture(scope="module")
def answers(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """The answer to each file, by 'folder/name'."""
    folder = data_folder / "cases" / "outside"
    with (folder / "index.csv").open(encoding="utf-8") as index:
        files = [row["file"] for row in csv.DictReader(index)]
    by_day: dict[datetime, list[str]] = {}
    for file in files:
        by_day.setdefault(_ROLLED.get(file.partition("/")[0], _TODAY), []).append(file)
    found: dict[str, Answer] = {}
    for day, of_day in by_day.items():
        found |= asyncio.run(_answers(folder, of_day, day, tmp_path_factory.mktemp("published")))
    return found


async def _answers(folder: Path, files: list[str], as_of: datetime, place: Path) -> dict[str, Answer]:
    async with client(place, as_of=as_of) as calls:
        found = {}
        for file in files:
            body = (folder / file).read_bytes()
            headers = {"content-type": "application/json"}
            answer = await calls.post(f"/cds-services/{ORDERS}", content=body, headers=headers)
            found[file.removesuffix(".json")] = Answer(answer.status_code, answer.json(), _findings(answer.json()))
    return found


def _findings(body: Json) -> set[Finding]:
    extensions = [card["extension"]["org.cds-hooks-onnx"] for card in body.get("cards", ())]
    return {(one["rule"], one["band"]) for each in extensions for one in each["findings"]}


def _of(answers: dict[str, Answer], folder: str) -> dict[str, Answer]:
    return {name.partition("/")[2]: one for name, one in answers.items() if name.startswith(f"{folder}/")}


def test_none_is_answered_by_a_failure_of_ours(answers: dict[str, Answer]) -> None:
    assert len(answers) >= 56
    assert {name: one.status for name, one in answers.items() if one.status not in (200, 400, 412)} == {}
    assert all(one.body["resourceType"] == "OperationOutcome" for one in answers.values() if one.status != 200)


@pytest.mark.parametrize("folder", ["opioid-cds-r4", "opioid-cds-stu3"])
def test_the_opioid_guides_speak_and_are_quiet_rule_by_rule(answers: dict[str, Answer], folder: str) -> None:
    for name, one in _of(answers, folder).items():
        rules = {rule for rule, band in one.findings if band != "missing"}
        assert SPEAKS.get(name, set()) <= rules, name
        assert not QUIET.get(name, set()) & rules, name
        assert one.status == 200 or "context" in one.body["issue"][0]["diagnostics"], name


@each_row(("prefix", "rule"))
def test_the_interaction_trees_find_their_pair(answers: dict[str, Answer], prefix: str, rule: str) -> None:
    named = {name: one for name, one in _of(answers, "pddi-cds").items() if name.startswith(prefix)}
    assert named
    for name, one in named.items():
        assert rule in {found for found, _ in one.findings}, name


def test_a_hook_that_was_replaced_names_its_successor(answers: dict[str, Answer]) -> None:
    old = {name: one for name, one in _of(answers, "pddi-cds").items() if name.startswith("request-")}
    assert len(old) >= 5
    for one in old.values():
        assert one.status == 400
        assert "order-select" in one.body["issue"][0]["diagnostics"]


def test_imaging_of_low_back_pain_is_not_judged_without_the_problem_list(answers: dict[str, Answer]) -> None:
    """The request brings no problems: a red flag may be among them."""
    imaging = _of(answers, "pama-imaging")["pama-scenario-01"]
    assert imaging.status == 200
    assert imaging.body["cards"] == []
    silences = imaging.body["extension"]["org.cds-hooks-onnx"]["silence"]
    assert ("img-lbp-early", "conditions-missing") in {(each["subject"], each["reason"]) for each in silences}


def test_a_user_beside_the_hook_is_taken_and_named(answers: dict[str, Answer]) -> None:
    one = _of(answers, "pddi-cds")["warfarin-nsaids-order-sign-no-coordination"]
    silences = one.body["extension"]["org.cds-hooks-onnx"]["silence"]
    assert ("context.userId", "misplaced") in {(each["subject"], each["reason"]) for each in silences}


# Cases of order-select, whole, over HTTP: what tests/cards/rules/test_cases.py finds of all of them in process.
OVER_HTTP = ["oc-012", "oc-044", "oc-046", "oc-047", "oc-048", "oc-082"]


@cache
def _case(folder: Path, name: str) -> Json:
    case: Json = json.loads((folder / "cases" / "order-select" / f"{name}.json").read_text())
    return case


@pytest.mark.parametrize("name", OVER_HTTP)
async def test_a_case_of_order_select_is_answered_over_http(name: str, data_folder: Path, tmp_path: Path) -> None:
    case = _case(data_folder, name)
    async with client(tmp_path, as_of=datetime.fromisoformat(case["as_of"])) as calls:
        sent = await calls.post(f"/cds-services/{ORDERS}", json=case["request"])
    answer = Answer(sent.status_code, sent.json(), _findings(sent.json()))
    assert answer.status == 200
    assert {(one["rule"], one["band"]) for one in case["expected"]["findings"]} <= answer.findings
    assert len(answer.body["cards"]) <= case["expected"]["max_cards_per_order"]
    assert not case["expected"]["silent"] or not answer.findings


async def test_the_order_on_the_other_side_comes_back_whole(data_folder: Path, tmp_path: Path) -> None:
    case = _case(data_folder, "oc-043")
    async with client(tmp_path, as_of=datetime.fromisoformat(case["as_of"])) as calls:
        answer: Json = (await calls.post(f"/cds-services/{ORDERS}", json=case["request"])).json()
    (card,) = answer["cards"]
    actions = [action for one in card["suggestions"] for action in one["actions"] if action["type"] == "update"]
    stopped = next(action["resource"] for action in actions if action["resource"]["status"] == "stopped")
    entries = [
        entry["resource"] for value in case["request"]["prefetch"].values() if value for entry in value.get("entry", ())
    ]
    sent = next(one for one in entries if one.get("id") == stopped["id"])
    assert stopped == sent | {"status": "stopped"}
