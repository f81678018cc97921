"""Notices in the forms of Alertmanager, PagerDuty and Slack, by the address; every other one gets our own."""

from typing import Any

import pytest

from cds_hooks.telemetry.notice_formats import notice_request

NOTICE = {"event": "opened", "client": "ehr", "family": "refusals", "text": "40 calls of ehr were refused."}
AT = "2026-11-20T09:00:00+00:00"


def _request(url: str, *, is_over: bool = False) -> tuple[str, Any]:
    return notice_request(url, NOTICE, "ehr refusals", AT, is_over=is_over)


def test_alertmanager_gets_a_list_of_alerts_whose_labels_are_the_same_when_it_is_over() -> None:
    url = "https://alerts.example.org/alertmanager/api/v2/alerts"
    (address, (begun,)), (_, (ended,)) = _request(url), _request(url, is_over=True)
    assert address == url
    assert begun["labels"] == ended["labels"] == {
        "alertname": "CdsHooksNotice", "severity": "warning", "subject": "ehr refusals",
    }  # fmt: skip
    assert begun["annotations"] == {"summary": "40 calls of ehr were refused."}
    assert (begun["startsAt"], begun["endsAt"]) == (AT, "2026-11-27T09:00:00+00:00")  # not after its resolve_timeout
    assert (ended.get("startsAt"), ended["endsAt"]) == (None, AT)


def test_pagerduty_gets_an_event_with_the_key_of_the_address_which_is_not_called() -> None:
    url = "https://events.pagerduty.com/v2/enqueue/R0UT1NG"
    address, begun = _request(url)
    assert address == "https://events.pagerduty.com/v2/enqueue"
    assert (begun["routing_key"], begun["event_action"], begun["dedup_key"]) == ("R0UT1NG", "trigger", "ehr refusals")
    assert begun["payload"] == {
        "summary": "40 calls of ehr were refused.", "source": "cds-hooks", "severity": "warning", "timestamp": AT,
    }  # fmt: skip
    assert _request(url, is_over=True)[1] == {
        "routing_key": "R0UT1NG", "event_action": "resolve", "dedup_key": "ehr refusals",
    }  # fmt: skip


def test_slack_gets_a_text() -> None:
    url = "https://hooks.slack.com/services/T/B/X"
    assert _request(url) == (url, {"text": "40 calls of ehr were refused."})
    assert _request(url, is_over=True) == (url, {"text": "Over: 40 calls of ehr were refused."})


@pytest.mark.parametrize("url", ["https://hooks.example.org/notices", "http://127.0.0.1:9/v2/enqueue"])
def test_every_other_address_gets_our_own_form(url: str) -> None:
    assert _request(url) == (url, NOTICE)
