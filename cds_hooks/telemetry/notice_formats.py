"""What a notice is posted as: our own JSON, or what Alertmanager, PagerDuty and Slack take, by the address.

https://ALERTMANAGER/api/v2/alerts                       Prometheus Alertmanager, API v2
https://events.pagerduty.com/v2/enqueue/ROUTING_KEY      PagerDuty Events API v2; the key is taken out of the address
https://hooks.slack.com/services/…                       Slack, incoming webhook
anything else                                            the notice's own members

Compared on 2026-11-23 with prometheus.io/docs/alerting/latest/alerts_api (an alert without `endsAt` ends by itself
after `resolve_timeout`, 5 minutes, unless it is sent again, and a notice is sent once), with what InfluxData documents
of PagerDuty's Events API v2 (a key of at most 255 characters, a summary of 1,024; PagerDuty's own page could not be
read), and with api.slack.com/reference/surfaces/formatting (`&`, `<` and `>` are escaped, or a name in a text could
call a whole channel).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from html import escape
from typing import Any, Final
from urllib.parse import urlsplit

_ALERTMANAGER: Final = "/api/v2/alerts"
_PAGERDUTY: Final = "/v2/enqueue"
_LONGEST_KEY: Final = 255
_SECONDS: Final = 10.0
_LONGEST_ALERT: Final = timedelta(days=7)
"""For so long an alert stands where nobody says that it is over."""


def post_notice(url: str, notice: Mapping[str, Any], key: str, at: str, *, is_over: bool) -> str:
    """Post a notice, as `notice_request` says, and return why it was not taken; an empty text where it was."""
    import httpx  # only where somebody is told: it takes a seventh of a second

    address, body = notice_request(url, notice, key, at, is_over=is_over)
    try:
        answer = httpx.post(address, json=body, timeout=_SECONDS, follow_redirects=False)
    except httpx.HTTPError as error:
        return f"cannot be reached ({type(error).__name__})"
    return "" if answer.is_success else f"answered {answer.status_code}"


def notice_request(url: str, notice: Mapping[str, Any], key: str, at: str, *, is_over: bool) -> tuple[str, Any]:
    """Return the address and the JSON of a notice.

    `notice` has `text`; `key` is the same when something begins and when it is over (`is_over`), `at` an ISO instant.
    """
    parts = urlsplit(url)
    text = str(notice.get("text") or key)
    if parts.path.endswith(_ALERTMANAGER):
        labels = {"alertname": "CdsHooksNotice", "severity": "warning", "subject": key}
        alert: dict[str, Any] = {"labels": labels, "annotations": {"summary": text}}
        if is_over:
            return url, [alert | {"endsAt": at}]
        ends_at = datetime.fromisoformat(at) + _LONGEST_ALERT
        return url, [alert | {"startsAt": at, "endsAt": ends_at.isoformat()}]
    if parts.path.startswith(f"{_PAGERDUTY}/"):
        routing_key = parts.path.removeprefix(f"{_PAGERDUTY}/")
        dedup_key = key if len(key) <= _LONGEST_KEY else sha256(key.encode()).hexdigest()
        event: dict[str, Any] = {"routing_key": routing_key, "dedup_key": dedup_key}
        payload = {"summary": text[:1024], "source": "cds-hooks", "severity": "warning", "timestamp": at}
        event |= {"event_action": "resolve"} if is_over else {"event_action": "trigger", "payload": payload}
        return f"{parts.scheme}://{parts.netloc}{_PAGERDUTY}", event
    if parts.hostname == "hooks.slack.com":
        text = escape(text, quote=False)
        return url, {"text": f"Over: {text}" if is_over else text}
    return url, dict(notice)
