"""What the server says when spans cannot be sent, and what of an answer of the collector is read."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests
from opentelemetry.sdk.trace.export import SpanExportResult

from cds_hooks import otlp
from cds_hooks.otlp import OtlpSpans, _look_at_head_only, _Reporting, _session
from tests.cds_hooks.logged import capture_logs


def test_spans_that_are_lost_are_said_at_once_then_every_minute_and_that_they_can_be_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, results = [1000.0], iter("FFFFSSF")
    monkeypatch.setattr(otlp, "monotonic", lambda: now[0])
    success, failure = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
    calls: list[Any] = []
    exporter = SimpleNamespace(
        export=lambda _: success if next(results) == "S" else failure,
        shutdown=lambda: calls.append("shutdown"),
        force_flush=lambda milliseconds: milliseconds == 7,
    )
    reporting, three = _Reporting(cast("Any", exporter)), cast("Any", (1, 2, 3))
    with capture_logs() as lines:
        sent = []
        for seconds in (0.0, 59.9, 0.1, 1.0, 0.0, 0.0, 0.0):
            now[0] += seconds
            sent.append(reporting.export(three))
    assert sent == [failure] * 4 + [success] * 2 + [failure]
    assert [(line["level"], line["event"], line["count"]) for line in lines] == [
        ("error", "traces cannot be sent", 3),
        ("error", "traces cannot be sent", 9),
        ("info", "traces can be sent again", 12),
        ("error", "traces cannot be sent", 3),
    ]
    assert [reporting.force_flush(milliseconds) for milliseconds in (7, 8)] == [True, False]
    reporting.shutdown()
    assert calls == ["shutdown"]


@pytest.mark.parametrize(("status", "is_redirect"), [(299, False), (300, True), (399, True), (400, False)])
def test_a_collector_that_answers_with_a_redirect_has_not_taken_the_spans(status: int, *, is_redirect: bool) -> None:
    closed: list[int] = []
    answer = cast("Any", SimpleNamespace(status_code=status, close=lambda: closed.append(1)))
    if is_redirect:
        with pytest.raises(requests.TooManyRedirects, match="the collector answers with a redirect"):
            _look_at_head_only(answer)
    else:
        _look_at_head_only(answer)
    assert closed == [1]
    session = _session()
    assert (session.trust_env, session.stream) == (False, True)
    assert _look_at_head_only in session.hooks["response"]


def test_spans_go_to_the_path_of_the_collector() -> None:
    for endpoint in ("http://127.0.0.1:9", "http://127.0.0.1:9/", "http://127.0.0.1:9/v1/traces"):
        spans = OtlpSpans(endpoint)
        exporter: Any = cast("Any", spans)._processor._batch_processor._exporter._exporter
        assert exporter._endpoint == "http://127.0.0.1:9/v1/traces"
        spans.close()
