"""Switches under load over real HTTP, two workers: no request is lost, and each answer is of one state."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import Any

import httpx
import pytest

from cds_hooks.call.configuration import read_content
from tests.cds_hooks.calls import ORDERS, PLANNING, counted_request_for
from tests.cds_hooks.people.governance.clicking import put_command
from tests.live import record_in, serving, serving_here
from tests.recorded import list_decisions
from tests.waiting import until

_SWITCHES = 12
_CALLERS = 4


def switch(url: str, state: Any, kind: Any = "service", name: str = ORDERS, **more: Any) -> None:
    """Puts an act into the record, as `cds-hooks release` does."""
    put_command(url, state, kind, name, **more)


def is_switched_off(answer: dict[str, Any]) -> bool:
    ours = answer["extension"]["org.cds-hooks-onnx"]
    return any(each["reason"] == "switched-off" for each in ours.get("silence", []))


def until_all(answers: list[httpx.Response], is_so: Callable[[httpx.Response], bool]) -> None:
    """Returns when the last twenty answers that came since, of both workers, are so."""
    start = len(answers)

    def are() -> bool:
        newest = answers[start:][-_CALLERS * 5 :]
        return len(newest) == _CALLERS * 5 and all(map(is_so, newest))

    until(are)


@contextmanager
def calling(address: str, body: bytes, service: str = ORDERS) -> Iterator[list[httpx.Response]]:
    """Calls at a steady rate until the block ends; the answers in the order in which they came."""
    answers: list[httpx.Response] = []
    over = Event()

    def call() -> None:
        headers = {"content-type": "application/json"}
        with httpx.Client(base_url=address, timeout=180, verify=False, headers=headers) as calls:  # noqa: S501 - http
            while not over.is_set():
                answers.append(calls.post(f"/cds-services/{service}", content=body))
                sleep(0.02)

    callers = [Thread(target=call) for _ in range(_CALLERS)]
    for each in callers:
        each.start()
    try:
        yield answers
    finally:
        over.set()
        for each in callers:
            each.join()


@pytest.mark.slow
def test_switches_under_load_lose_no_request_and_mix_no_answer(tmp_path: Path) -> None:
    url, now = record_in(tmp_path), datetime.now(UTC)
    body = json.dumps(counted_request_for(ORDERS, "order-sign", "ckd4-metformin", now, "metformin-ckd4-coded")).encode()
    with serving(tmp_path, "--workers", "2") as address, calling(address, body) as answers:
        for number in range(_SWITCHES):
            off = number % 2 == 0
            switch(url, "off" if off else "on")
            until_all(answers, lambda answer, off=off: is_switched_off(answer.json()) == off)  # type: ignore[misc]
    assert {each.status_code for each in answers} == {200}
    said = {
        each.json()["extension"]["org.cds-hooks-onnx"]["decision"]: is_switched_off(each.json()) for each in answers
    }
    assert len(said) == len(answers)
    assert set(said.values()) == {True, False}
    contents: dict[str, Any] = {}
    for decision in list_decisions(url, limit=len(answers)):
        digest = json.loads(decision.basis)["config"]
        content = contents.get(digest) or contents.setdefault(digest, read_content(url, digest))
        assert content is not None, digest
        assert (content["release"].get(f"service {ORDERS}") == "off") == said.pop(decision.id), digest
        assert bool(json.loads(decision.response)["cards"]) == (decision.outcome == "cards")
    assert not said, "every answer is in the record"


def test_a_rule_a_client_and_a_model_fall_silent_with_the_reason_on_record(tmp_path: Path) -> None:
    url, now = record_in(tmp_path), datetime.now(UTC)
    order = counted_request_for(ORDERS, "order-sign", "ckd4-metformin", now, "metformin-ckd4-coded")
    view = counted_request_for(PLANNING, "patient-view", "planning-talk", now)
    with serving_here(tmp_path) as address, httpx.Client(base_url=address, timeout=180) as calls:

        def reasons(service: str, request: dict[str, Any]) -> dict[str, str]:
            answer = calls.post(f"/cds-services/{service}", json=request).raise_for_status().json()
            silence = answer["extension"]["org.cds-hooks-onnx"].get("silence", [])
            return {each["subject"]: each["reason"] for each in silence}

        def until_said(service: str, request: dict[str, Any], subject: str, reason: str | None) -> None:
            until(lambda: reasons(service, request).get(subject) == reason, (subject, reason))

        assert "renal-metformin" not in reasons(ORDERS, order)
        switch(url, "off", "rule", "renal-metformin")
        until_said(ORDERS, order, "renal-metformin", "switched-off")
        # the salt stays that of the first act: one that is drawn chooses this patient once in a hundred runs
        switch(url, "shadow", "model", "mortality_5y", salt="00" * 16)
        until_said(PLANNING, view, "mortality_5y", "shadow")
        switch(url, "canary", "model", "mortality_5y", share=1)
        until_said(PLANNING, view, "mortality_5y", "canary")
        switch(url, "active", "model", "mortality_5y")
        until_said(PLANNING, view, "mortality_5y", None)
        switch(url, "off", "client", list_decisions(url, limit=1)[0].client)
        until_said(PLANNING, view, PLANNING, "switched-off")
    decisions = list_decisions(url, limit=100)
    assert all(read_content(url, json.loads(each.basis)["config"]) for each in decisions), "the last ones, too"
    shadow = next(each for each in decisions if b'"shadow"' in each.basis)
    assert json.loads(shadow.basis)["scores"]["probability"] > 0, "a model in shadow is computed and recorded"


def test_silent_mode_computes_and_shows_nothing_and_the_list_says_why(tmp_path: Path) -> None:
    url, now = record_in(tmp_path), datetime.now(UTC)
    view = counted_request_for(PLANNING, "patient-view", "planning-talk", now)
    other = view | {"context": view["context"] | {"userId": "Practitioner/another"}}
    user = view["context"]["userId"]
    switch(url, "shadow", "user", user)
    switch(url, "shadow", "unit", "Nowhere")
    with serving_here(tmp_path) as address, httpx.Client(base_url=address, timeout=180) as calls:
        silent, shown = (calls.post(f"/cds-services/{PLANNING}", json=each).json() for each in (view, other))
    assert silent["cards"] == []
    reasons = [each["reason"] for each in silent["extension"]["org.cds-hooks-onnx"]["silence"]]
    assert reasons == ["silent-mode"]
    assert len(shown["cards"]) == 1
    quiet, _ = sorted(list_decisions(url), key=lambda each: each.outcome, reverse=True)
    assert json.loads(quiet.basis)["scores"]["probability"] > 0, "it is computed and recorded"
    assert json.loads(quiet.basis)["silence"][0][1:] == ["silent-mode", "Silent mode for the user: a trial."]
