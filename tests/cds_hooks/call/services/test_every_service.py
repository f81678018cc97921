"""What holds for every service that is found, whoever wrote it: its declaration, and each card that it sends.

A new service is checked here without a line of its own.
"""

import re
from datetime import datetime
from itertools import cycle
from pathlib import Path

import pytest

from cds_hooks.call.services import find_services, planning_conversation
from tests.cds_hooks.calls import client, request_for
from tests.contracts import contracts
from tests.contracts.contracts import (
    answers_to,
    test_a_service_says_who_it_is_for_and_asks_for_the_patient_first,
    test_every_card_keeps_the_specification_and_every_silence_has_a_reason,
    test_resources_that_the_service_does_not_name_in_its_needs_change_nothing,
)
from tests.contracts.contracts import requests_of as requests_of
from tests.contracts.contracts import without_ids as without_ids
from tests.contracts.parametrize import parametrize
from tests.each import each_row

__all__ = [
    "answers_to",
    "test_a_service_says_who_it_is_for_and_asks_for_the_patient_first",
    "test_every_card_keeps_the_specification_and_every_silence_has_a_reason",
    "test_resources_that_the_service_does_not_name_in_its_needs_change_nothing",
]
SERVICES = find_services(file="separate")
CALLS = [(service.id, hook) for service in SERVICES.values() for hook in service.hooks]
test_a_patient_is_shown_nothing = pytest.mark.slow(contracts.test_a_patient_is_shown_nothing)
test_the_same_call_again = pytest.mark.slow(contracts.test_the_same_call_has_the_same_answer_whatever_was_asked_before)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The tests of every service run on each of ours, and at each of its hooks."""
    parametrize(metafunc, {"service": list(SERVICES), "service,hook": CALLS})


def test_a_clinician_is_answered(tmp_path: Path, as_of: datetime) -> None:
    requests = requests_of(planning_conversation.ADVISOR.id, "patient-view", as_of)
    users = ("Practitioner/1", "PractitionerRole/2", "https://ehr.example/fhir/Practitioner/1")
    for request, user in zip(requests, cycle(users), strict=False):
        request["context"]["userId"] = user
    answers = answers_to(requests, planning_conversation.ADVISOR.id, tmp_path, as_of)
    assert any(answer.json()["cards"] for answer in answers)
    assert not any("not-for-this-user" in answer.text for answer in answers)


@each_row(("hook", "name", "status"))
async def test_a_listed_id_answers_its_hook_alone(
    hook: str, name: str, status: int, tmp_path: Path, as_of: datetime
) -> None:
    request = request_for("order-safety", hook, "ckd4-metformin", as_of, "metformin-ckd4-coded")
    async with client(tmp_path, as_of=as_of) as calls:
        feedback = await calls.post(f"/cds-services/{name}/feedback", json={"feedback": []})
        answer = await calls.post(f"/cds-services/{name}", json=request)
    assert answer.status_code == status
    assert feedback.status_code != 404
    if status == 200:
        assert len(answer.json()["cards"]) == 1


@pytest.mark.slow
def test_without_a_recorded_sex_no_headline_has_the_result_of_one_sex_alone(tmp_path: Path, as_of: datetime) -> None:
    told: set[str] = set()
    for service in SERVICES.values():
        if "patient-view" not in service.hooks:
            continue
        requests = requests_of(service.id, "patient-view", as_of)
        for request in requests:
            request["prefetch"]["patient"] |= {"gender": "unknown", "extension": []}
        for answer in answers_to(requests, service.id, tmp_path, as_of):
            for card in answer.json()["cards"]:
                match = re.search(r"The sex is not recorded: (\S+) .*?and (\S+)", card.get("detail", ""))
                if match is None:
                    continue
                figures = {f"{float(number):.0f}" for number in match.groups()}
                told.add(service.id)
                assert figures <= set(re.findall(r"\d+", card["summary"])), card["summary"]
    assert {"anticoagulation-discussion", "statin-discussion"} <= told
