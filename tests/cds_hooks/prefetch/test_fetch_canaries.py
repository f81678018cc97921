"""Neither the token nor anything of the patient leaves by another door: logs, errors, metrics, record."""

import logging
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from tests.cds_hooks.calls import PLANNING, request_for
from tests.cds_hooks.prefetch.fetch_calls import TOKEN, at_server, with_app, without
from tests.fhir_charts import sample_chart, serving_fhir

MODES = ("normal", "401", "403", "429", "garbage", "redirect", "next-elsewhere")


def test_no_canary_is_heard(
    tmp_path: Path, as_of: datetime, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    request = without(request_for(PLANNING, "patient-view", "planning-talk", as_of), "labs", "conditions")
    texts: list[str] = []

    async def call_all(calls: httpx.AsyncClient) -> None:
        for mode in MODES:
            with serving_fhir([sample_chart("planning-talk", as_of)], mode=mode, page_size=5) as running:
                answer = await calls.post(f"/cds-services/{PLANNING}", json=at_server(request, running.base))
                texts.append(answer.text)
                texts.extend(str(value) for value in answer.headers.values())
        texts.append((await calls.get("/metrics")).text)

    with_app(tmp_path, call_all, as_of=as_of, fetch_milliseconds=2000)
    logged = [
        record.getMessage() for record in caplog.records if record.name.startswith(("cds_hooks", "httpx", "httpcore"))
    ]
    out, err = capfd.readouterr()
    record = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert TOKEN.encode() not in record
    for text in (*texts, *logged, out, err):
        assert TOKEN not in text
    for text in (texts[-1], *logged, out, err):
        assert "planning-talk" not in text
    assert f'cds_prefetch_total{{client="anonymous",key="labs",service="{PLANNING}",state="fetched"}} 2.0' in texts[-1]
    assert 'cds_fetch_seconds_count{client="anonymous"' in texts[-1]
