"""One visit, one list: reminders wait for the other services of the moment, and the first of the list is shown."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from tests.cds_hooks.calls import client
from tests.cds_hooks.services.chart_cases import AS_OF, as_call, patient, problem, text_of

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
    chart = [patient(70, "male"), problem("Atrial fibrillation", "I48.91"), problem("Hypertension", "I10")]
    prevention, vaccines, talk, _ = asyncio.run(_opened(tmp_path / "one", chart, WINDOW))
    assert not prevention["cards"]
    assert not vaccines["cards"]
    assert "CHA2DS2-VASc" in text_of(talk)
    for answer in (prevention, vaccines):
        own = answer["extension"]["org.cds-hooks-onnx"]
        assert "offered-before" in [entry["because"] for entry in own["worklist"]]
        assert "anticoagulation-discussion goes before it" in str(own["silence"])


def test_of_the_reminders_what_can_be_done_at_this_visit_is_shown_whoever_is_called_first(tmp_path: Path) -> None:
    chart = [patient(62, "male")]
    for number, services in enumerate((SERVICES, SERVICES[::-1])):
        answers = asyncio.run(_opened(tmp_path / str(number), chart, WINDOW, services))
        shown = [service for service, answer in zip(services, answers, strict=True) if answer["cards"]]
        assert shown == ["vaccines-due"]


def test_without_the_setting_nothing_is_ranked(tmp_path: Path) -> None:
    chart = [patient(70, "male"), problem("Atrial fibrillation", "I48.91"), problem("Hypertension", "I10")]
    answers = asyncio.run(_opened(tmp_path / "none", chart, 0))
    assert sum(len(answer["cards"]) for answer in answers) == 2, "the talk, and the reminder that came first"
