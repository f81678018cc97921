"""The service `medication-review`: STOPP at 65 and over, contraindications at every age, one card, said once."""

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cards.casebook.cases import faults_of_case, missing_cases
from cards.rules.engine.rule_book import whole_book
from tests.cds_hooks.call.services import chart_cases
from tests.cds_hooks.calls import client, ours
from tests.conftest import ROOT
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import RXNORM, bundle, encounter, medication_statement, observation

SERVICE = "medication-review"
CASES = ROOT / "tests" / "cases" / "review"
OF_THE_REVIEW = [rule.id for rule in whole_book().rules if rule.family.name == "review"]
Json = dict[str, Any]
DIAZEPAM, ZOLPIDEM, HALOPERIDOL, NAPROXEN, PREDNISONE, PIOGLITAZONE = (
    ("3322", "diazepam"),
    ("39993", "zolpidem"),
    ("5093", "haloperidol"),
    ("7258", "naproxen"),
    ("8640", "prednisone"),
    ("33738", "pioglitazone"),
)
THIAZIDE = ("5487", "hydrochlorothiazide")
PARKINSON, HEART_FAILURE, FALL, HOSPICE, GOUT = "G20", "I50.9", "Z91.81", "Z51.5", "M10.9"


def order(drug: tuple[str, str], as_of: datetime, **more: Any) -> Json:
    code, name = drug
    elements: Json = {
        "authoredOn": (as_of - timedelta(days=60)).date().isoformat(),
        "note": [{"text": "kept as it came"}],
    }
    concept = builders.concept(name, code, RXNORM)
    return builders.medication_order(concept, patient="p", id=f"order-{name}", **elements) | more


def stated(drug: tuple[str, str]) -> Json:
    code, name = drug
    return medication_statement(
        {"coding": [{"system": RXNORM, "code": code}], "text": name}, patient="p", id=f"taken-{name}"
    )


def problem(code: str, recorded: str = "2026-10-01") -> Json:
    return builders.problem(
        code=code, patient="p", id=f"problem-{code.lower().replace('.', '-')}", recordedDate=recorded
    )


def ask(folder: Path, as_of: datetime, *resources: Json, born: str = "1945-01-01", times: int = 1, **more: Any) -> Any:
    keys = {
        "MedicationRequest": "medications", "MedicationStatement": "statements", "Condition": "conditions",
        "Encounter": "encounters", "Observation": "labs",
    }  # fmt: skip
    prefetch: Json = {
        "patient": {"resourceType": "Patient", "id": "p", "birthDate": born, "gender": more.get("gender", "male")}
    }
    for kind, key in keys.items():
        entries = [{"resource": each} for each in resources if each["resourceType"] == kind]
        prefetch[key] = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    for key in more.get("without", ()):
        del prefetch[key]
    request = {
        "hook": "patient-view",
        "hookInstance": "b393339e-37ae-5172-891e-2c9f1de70035",
        "context": {"userId": "Practitioner/1", "patientId": "p"},
        "prefetch": prefetch,
    }

    folder.mkdir(exist_ok=True)

    async def call() -> Any:
        async with client(folder, as_of=as_of) as calls:
            for _ in range(times):
                answer = await calls.post(f"/cds-services/{SERVICE}", json=request)
            return answer

    answer = asyncio.run(call())
    assert answer.status_code == 200, answer.text
    return answer


def reasons(answer: Any) -> set[str]:
    return {each["reason"] for each in ours(answer)["silence"] if each["subject"] == SERVICE}


def test_several_drugs_of_one_finding_are_one_line_and_none_is_stopped_at_once(tmp_path: Path, as_of: datetime) -> None:
    """Benzodiazepines and sleeping pills are tapered: no order says how."""
    answer = ask(tmp_path, as_of, order(DIAZEPAM, as_of), stated(ZOLPIDEM), problem(FALL))
    (card,) = answer.json()["cards"]
    falls = [line for line in card["detail"].splitlines() if "fall" in line and "taper" in line.lower()]
    assert len(falls) == 1
    assert "diazepam" in falls[0].lower()
    assert "zolpidem" in falls[0].lower()
    assert "suggestions" not in card


def test_a_year_of_birth_bounds_the_age(tmp_path: Path, as_of: datetime) -> None:
    """What holds at both ages that the year leaves is told; in the year of the 65th birthday nobody knows the age."""
    taken = (order(DIAZEPAM, as_of), problem(FALL))
    (known,) = ask(tmp_path / "day", as_of, *taken, born="1945-01-01").json()["cards"]
    by_year = ask(tmp_path / "year", as_of, *taken, born="1945")
    assert by_year.json()["cards"][0]["summary"].replace("80 or 81", "81") == known["summary"]
    assert "input-missing" not in reasons(by_year)
    assert "input-missing" in reasons(ask(tmp_path / "between", as_of, *taken, born=str(as_of.year - 65)))


@pytest.mark.parametrize(("days", "is_told"), [(3, True), (40, False), (90, False)])
def test_a_problem_of_the_last_days_is_told_of_a_drug_that_was_begun_before(
    days: int, is_told: bool, tmp_path: Path, as_of: datetime
) -> None:
    """Rhabdomyolysis on a statin that was ordered 60 days ago; an older one was known to whoever goes on with it."""
    rhabdomyolysis = problem("M62.82", (as_of - timedelta(days=days)).date().isoformat())
    answer = ask(tmp_path, as_of, order(("301542", "rosuvastatin"), as_of), rhabdomyolysis, born="1970-01-01")
    assert any("rhabdomyolysis" in card["summary"] for card in answer.json()["cards"]) is is_told


def test_insulin_is_never_offered_to_be_stopped(tmp_path: Path, as_of: datetime) -> None:
    glucose = observation("2345-7", 45, "mg/dL", (as_of - timedelta(days=1)).isoformat(), patient="p", id="glucose")
    taken = (order(("274783", "insulin glargine"), as_of), glucose)
    (card,) = ask(tmp_path, as_of, *taken, born="1986-01-01").json()["cards"]
    assert "glucose 45 mg/dL" in card["summary"]
    assert "suggestions" not in card


def test_without_a_medication_list_nothing_is_reviewed(tmp_path: Path, as_of: datetime) -> None:
    answer = ask(tmp_path, as_of, problem(PARKINSON), without=("medications", "statements"))
    assert reasons(answer) == {"input-missing"}


def test_silence_says_what_was_looked_at(tmp_path: Path, as_of: datetime) -> None:
    def text(folder: str, *resources: Json, **more: Any) -> str:
        silences = ours(ask(tmp_path / folder, as_of, *resources, **more))["silence"]
        return str(next(each["text"] for each in silences if each["subject"] == SERVICE))

    unknown = ask(tmp_path / "unknown", as_of, order(PIOGLITAZONE, as_of), without=("conditions",))
    assert reasons(unknown) == {"input-missing"}
    assert text("again", order(PIOGLITAZONE, as_of), without=("conditions",)).startswith(
        "The problem list is not available"
    )
    assert text("none") == "No current medication is on record."
    assert text("one", order(PIOGLITAZONE, as_of)) == "The current medication meets no criterion."
    two = text("two", order(PIOGLITAZONE, as_of), order(PREDNISONE, as_of))
    assert two == "The 2 current medications meet no criterion."


def test_in_hospital_a_reminder_waits_on_the_worklist(tmp_path: Path, as_of: datetime) -> None:
    stay = encounter("IMP", patient="p", id="stay", period={"start": (as_of - timedelta(days=1)).isoformat()})
    answer = ask(tmp_path, as_of, order(DIAZEPAM, as_of), problem(FALL), stay)
    assert answer.json()["cards"] == []
    assert reasons(answer) == {"worklist"}
    (entry,) = ours(answer)["worklist"]
    assert "diazepam" in entry["test"].lower()


@for_rows("rule", OF_THE_REVIEW)
def test_every_case_of_a_rule_of_the_review_is_as_it_says(rule: str) -> None:
    cases = json.loads((CASES / f"{rule}.json").read_text(encoding="utf-8"))
    assert missing_cases(rule, cases) == []
    assert {case["id"]: faults_of_case(rule, case) for case in cases} == {case["id"]: [] for case in cases}


@for_rows("rule", OF_THE_REVIEW)
def test_the_order_and_the_repetition_of_the_entries_do_not_matter_to_the_review(rule: str) -> None:
    cases = json.loads((CASES / f"{rule}.json").read_text(encoding="utf-8"))
    for case in cases:
        patient = case["patient"]
        turned = {name: value[::-1] if isinstance(value, list) else value for name, value in patient.items()}
        if "conditions" in turned:
            turned["conditions"] = [*turned["conditions"], *turned["conditions"]]
        assert faults_of_case(rule, {**case, "patient": turned}) == [], case["id"]


# One visit: the review and the check of orders


async def _in_one_visit(
    folder: Path, as_of: datetime, taken: Json, code: str, drafted: Json, *, answered: str | None
) -> tuple[Any, Any]:
    """The chart of a patient with this problem is opened and an order signed; one card is answered in between.

    `answered` is the service whose card is overridden with a reason: that one is called first.
    """
    found: dict[str, list[Json]] = {"conditions": [problem(code)], "statements": [], "encounters": []}
    found["medications"] = [] if answered == "order-safety" else [taken]
    person = {"resourceType": "Patient", "id": "p", "birthDate": "1945-01-01", "gender": "male"}
    prefetch = {"patient": person, **{key: bundle(*resources) for key, resources in found.items()}}
    opened = _request("patient-view", prefetch)
    signed = _request("order-sign", prefetch, draftOrders=bundle({**drafted, "status": "draft"}))
    async with client(folder, as_of=as_of) as calls:
        if answered == "order-safety":
            first = await calls.post("/cds-services/order-safety", json=signed)
            await _override(calls, "order-safety", first)
            # What was signed in spite of the card is taken now.
            opened["prefetch"]["medications"] = bundle(taken)
            return await calls.post(f"/cds-services/{SERVICE}", json=opened), first
        first = await calls.post(f"/cds-services/{SERVICE}", json=opened)
        if answered is not None:
            await _override(calls, SERVICE, first)
        return first, await calls.post("/cds-services/order-safety", json=signed)


def _request(hook: str, prefetch: Json, **context: Any) -> Json:
    return {
        "hook": hook,
        "hookInstance": "b393339e-37ae-5172-891e-2c9f1de70035",
        "context": {"userId": "Practitioner/1", "patientId": "p", **context},
        "prefetch": dict(prefetch),
    }


async def _override(calls: Any, service: str, answer: Any) -> None:
    (card,) = answer.json()["cards"]
    item = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-11-20T09:05:00Z"}
    item["overrideReason"] = {"reason": card["overrideReasons"][0]}
    sent = await calls.post(f"/cds-services/{service}/feedback", json={"feedback": [item]})
    assert sent.status_code == 200, sent.text


def _found(answer: Any) -> set[tuple[str, str]]:
    extensions = [card["extension"]["org.cds-hooks-onnx"] for card in answer.json()["cards"]]
    return {(one["rule"], one["band"]) for each in extensions for one in each.get("findings", ())}


async def test_what_the_review_said_of_a_drug_is_not_repeated_at_the_order_of_another(
    tmp_path: Path, as_of: datetime
) -> None:
    """The check of orders judges drafts, the review what is taken: no drug is judged by both."""
    taken = order(PIOGLITAZONE, as_of)
    review, signed = await _in_one_visit(tmp_path, as_of, taken, HEART_FAILURE, order(PREDNISONE, as_of), answered=None)
    assert _found(review) == {("dz-hf-tzd", "hf")}
    assert "dz-hf-tzd" not in {rule for rule, _ in _found(signed)}


@pytest.mark.parametrize(("drug", "code", "said"), [(PIOGLITAZONE, HEART_FAILURE, "hf"), (THIAZIDE, GOUT, "gout")])
async def test_an_answer_to_the_check_of_an_order_keeps_the_review_quiet(
    tmp_path: Path, as_of: datetime, drug: tuple[str, str], code: str, said: str
) -> None:
    taken = order(drug, as_of)
    review, signed = await _in_one_visit(tmp_path, as_of, taken, code, taken, answered="order-safety")
    assert said in {band for _, band in _found(signed)}
    assert review.json()["cards"] == []
    assert "acknowledged" in {each["reason"] for each in ours(review)["silence"]}


async def test_an_answer_to_the_review_keeps_the_check_of_the_renewal_quiet(tmp_path: Path, as_of: datetime) -> None:
    taken = order(THIAZIDE, as_of)
    review, signed = await _in_one_visit(tmp_path, as_of, taken, GOUT, taken, answered=SERVICE)
    assert _found(review) == {("dz-thiazide", "gout")}
    assert ("dz-thiazide", "gout") not in _found(signed)


async def test_an_answer_to_the_reviews_warning_does_not_silence_what_is_critical_at_the_order(
    tmp_path: Path, as_of: datetime
) -> None:
    taken = order(PIOGLITAZONE, as_of)
    review, signed = await _in_one_visit(tmp_path, as_of, taken, HEART_FAILURE, taken, answered=SERVICE)
    assert _found(review) == _found(signed) == {("dz-hf-tzd", "hf")}
    assert [card["indicator"] for card in signed.json()["cards"]] == ["critical"]


def test_a_drug_of_unknown_status_is_named_and_not_reviewed(tmp_path: Path) -> None:
    zolpidem = chart_cases.drug("zolpidem 10 mg tablet nightly", status="unknown", when="2026-11-01")
    chart = [chart_cases.patient(80, "female"), zolpidem]
    (answer,) = chart_cases.answers(tmp_path / "unknown", "medication-review", [chart])
    assert not answer["cards"]
    silences = answer["extension"]["org.cds-hooks-onnx"]["silence"]
    assert "whether the patient takes it: zolpidem, status unknown" in " ".join(silence["text"] for silence in silences)
