"""One visit, one list: reminders wait for the other services of the moment, and the first of the list is shown."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.turns import OneVisit, VisitRank
from tests.cds_hooks.calls import client
from tests.cds_hooks.services.chart_cases import AS_OF, VISIT, as_call, patient, problem, result, text_of, visit

Json = dict[str, Any]
SERVICES = ("preventive-services", "vaccines-due", "anticoagulation-discussion", "medication-review")
WINDOW = 0.3


async def _opened(folder: Path, chart: list[Json], seconds: float, services: tuple[str, ...] = SERVICES) -> list[Json]:
    folder.mkdir()
    async with client(folder, as_of=AS_OF, visit_window=seconds) as calls:

        async def ask(service: str) -> httpx.Response:
            return await calls.post(f"/cds-services/{service}", json=as_call(service, "patient-view", 1, chart))

        answers = await asyncio.gather(*map(ask, services))
    assert [answer.status_code for answer in answers] == [200] * len(services)
    return [answer.json() for answer in answers]


def test_what_can_harm_and_talks_go_before_reminders(tmp_path: Path) -> None:
    check_up = visit(id=VISIT, type=[{"text": "Annual physical"}])
    chart = [patient(70, "male"), problem("Atrial fibrillation", "I48.91"), problem("Hypertension", "I10"), check_up]
    prevention, vaccines, talk, _ = asyncio.run(_opened(tmp_path / "one", chart, WINDOW))
    assert not prevention["cards"]
    assert not vaccines["cards"]
    assert "CHA2DS2-VASc" in text_of(talk)
    for answer in (prevention, vaccines):
        own = answer["extension"]["org.cds-hooks-onnx"]
        assert "offered-before" in [entry["because"] for entry in own["worklist"]]
        assert "anticoagulation-discussion goes before it" in str(own["silence"])


def test_of_the_reminders_what_can_be_done_at_this_visit_is_shown_whoever_is_called_first(tmp_path: Path) -> None:
    chart = [patient(62, "male"), visit(id=VISIT, type=[{"text": "Annual physical"}])]
    for number, services in enumerate((SERVICES, SERVICES[::-1])):
        answers = asyncio.run(_opened(tmp_path / str(number), chart, WINDOW, services))
        shown = [service for service, answer in zip(services, answers, strict=True) if answer["cards"]]
        assert shown == ["vaccines-due"]


def test_a_visit_that_is_no_check_up_has_no_reminders_in_its_list(tmp_path: Path) -> None:
    services = (*SERVICES, "statin-discussion", "liver-assessment")
    chart = [patient(62, "male"), problem("Obesity", "E66.9")]
    answers = asyncio.run(_opened(tmp_path / "list", chart, 0.02, services))
    assert not any(answer["cards"] for answer in answers)
    worklists = [answer["extension"]["org.cds-hooks-onnx"].get("worklist", []) for answer in answers]
    entries = " ".join(entry["test"] for worklist in worklists for entry in worklist)
    assert "Vaccines: " in entries
    assert "Preventive services: " in entries


def test_the_talk_about_a_statin_for_a_disease_goes_after_what_can_harm_and_before_reminders(tmp_path: Path) -> None:
    services = ("vaccines-due", "statin-discussion", "anticoagulation-discussion")
    infarction = problem("Old myocardial infarction", "I25.2")
    check_up = visit(id=VISIT, type=[{"text": "Annual physical"}])
    chart = [patient(70, "male"), infarction, check_up]
    vaccines, statin, _ = asyncio.run(_opened(tmp_path / "alone", chart, WINDOW, services))
    assert "statin" in text_of(statin)
    assert not vaccines["cards"]
    chart.append(problem("Atrial fibrillation", "I48.91"))
    vaccines, statin, talk = asyncio.run(_opened(tmp_path / "both", chart, WINDOW, services))
    assert "CHA2DS2-VASc" in text_of(talk)
    assert not statin["cards"]
    (entry,) = statin["extension"]["org.cds-hooks-onnx"]["worklist"]
    assert (entry["test"], entry["because"]) == ("A talk about a statin", "offered-before")


def test_the_follow_up_of_an_abnormal_result_is_shown_whoever_answers_first(tmp_path: Path) -> None:
    positive = result("77354-9", 0, "1")
    del positive["valueQuantity"]
    positive["valueCodeableConcept"] = {"text": "Positive"}
    chart = [patient(62, "female"), positive]
    places = [SERVICES[place:] + SERVICES[:place] for place in range(len(SERVICES))]
    for number, services in enumerate((*places, SERVICES[::-1])):
        for seconds in (0.0, 0.02):
            answers = asyncio.run(_opened(tmp_path / f"{number}-{seconds}", chart, seconds, services))
            shown = dict(zip(services, map(text_of, answers), strict=True))
            assert "Colonoscopy after a positive stool test" in shown["preventive-services"]


def test_without_the_setting_nothing_is_ranked(tmp_path: Path) -> None:
    chart = [patient(70, "male"), problem("Atrial fibrillation", "I48.91"), problem("Hypertension", "I10")]
    answers = asyncio.run(_opened(tmp_path / "none", chart, 0))
    assert sum(len(answer["cards"]) for answer in answers) == 3, "the talk, and both reminders"


def test_of_two_services_of_one_rank_the_first_by_name_is_shown() -> None:
    async def ranked() -> list[str | None]:
        visits = OneVisit(0.02)
        callers = [Caller("ehr", "p1", service, "patient-view") for service in ("b-service", "a-service")]
        return list(await asyncio.gather(*[visits.goes_before(caller, VisitRank.TESTS) for caller in callers]))

    assert asyncio.run(ranked()) == ["a-service", None]
