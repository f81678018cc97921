"""With a trust file a client is read from where it is registered, within its own budgets, and nowhere else."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.kit.simulator.signing import new_key, sign_token
from tests.cds_hooks.calls import PLANNING, request_for
from tests.cds_hooks.prefetch.fetch_calls import at_server, silences, with_app, without
from tests.fhir_charts import sample_chart, serving_fhir

PATH = f"/cds-services/{PLANNING}"
TRUST = """\
version = 1

[[client]]
name = "Example"
issuers = ["https://ehr.example.org"]
jwks_file = "jwks.json"
fhir = [{base}]
fhir_client_id = "service"

[client.budgets]
fetch_milliseconds = {milliseconds}
max_pages = {pages}
"""


def _post(
    folder: Path, request: dict[str, Any], base: str, as_of: datetime, milliseconds: int = 20_000, pages: int = 20
) -> httpx.Response:
    key = new_key("https://ehr.example.org")
    (folder / "jwks.json").write_text(json.dumps(key.key_set()))
    (folder / "trust.toml").write_text(
        TRUST.format(base=base if base.startswith("{") else f'"{base}"', milliseconds=milliseconds, pages=pages)
    )
    headers = {"authorization": f"Bearer {sign_token(key, f'http://test{PATH}')}"}
    settings: dict[str, Any] = {"trust_file": folder / "trust.toml", "public_url": "http://test", "as_of": as_of}
    return with_app(folder, lambda calls: calls.post(PATH, json=request, headers=headers), **settings)


@pytest.fixture
def request_without_conditions(as_of: datetime) -> dict[str, Any]:
    """All but the problems of a patient who gets a model card."""
    return without(request_for(PLANNING, "patient-view", "planning-talk", as_of), "conditions")


def test_the_registered_server_is_read(
    tmp_path: Path, as_of: datetime, request_without_conditions: dict[str, Any]
) -> None:
    with serving_fhir([sample_chart("planning-talk", as_of)]) as running:
        answer = _post(tmp_path, at_server(request_without_conditions, running.base), running.base, as_of)
    assert answer.status_code == 200, answer.text
    assert silences(answer) == {}
    assert running.types == ["Condition"]


def test_an_open_server_is_read_without_a_token_where_the_file_says_so(
    tmp_path: Path, as_of: datetime, request_without_conditions: dict[str, Any]
) -> None:
    with serving_fhir([sample_chart("planning-talk", as_of)]) as running:
        request = at_server(request_without_conditions, running.base, None)
        closed = _post(tmp_path, request, running.base, as_of)
        opened = _post(tmp_path, request, f'{{ url = "{running.base}", open = true }}', as_of)
    assert silences(closed) == {"prefetch.conditions": "no-token"}
    assert silences(opened) == {}
    assert [asked.token for asked in running.log.requests] == [None] or not running.log.requests[0].token


def test_another_server_on_the_same_machine_is_not(
    tmp_path: Path, as_of: datetime, request_without_conditions: dict[str, Any]
) -> None:
    with serving_fhir([sample_chart("planning-talk", as_of)]) as running:
        registered = running.base.replace("/fhir", "/fhir/tenant")
        answer = _post(tmp_path, at_server(request_without_conditions, running.base), registered, as_of)
    assert silences(answer) == {"prefetch.conditions": "not-allowed"}
    assert running.log.requests == []


def test_a_token_for_another_subject_is_not_used(
    tmp_path: Path, as_of: datetime, request_without_conditions: dict[str, Any]
) -> None:
    with serving_fhir([sample_chart("planning-talk", as_of)]) as running:
        request = at_server(request_without_conditions, running.base, subject="somebody")
        answer = _post(tmp_path, request, running.base, as_of)
    assert silences(answer) == {"prefetch.conditions": "not-allowed"}
    assert running.log.requests == []


def test_the_clients_own_budgets_hold(
    tmp_path: Path, as_of: datetime, request_without_conditions: dict[str, Any]
) -> None:
    chart = sample_chart("planning-talk", as_of)
    with serving_fhir([chart], mode="slow", delay_seconds=30) as running:
        request = at_server(request_without_conditions, running.base)
        answer = _post(tmp_path, request, running.base, as_of, milliseconds=200)
    assert silences(answer) == {"prefetch.conditions": "timeout"}
    with serving_fhir([chart], page_size=1) as running:
        request = at_server(request_without_conditions, running.base)
        answer = _post(tmp_path, request, running.base, as_of, pages=2)
    assert silences(answer) == {"prefetch.conditions": "partial"}
    assert len(running.log.requests) == 2
