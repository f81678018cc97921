"""What a notice is posted as: our own JSON, or what Alertmanager, PagerDuty and Slack take, by the address.

https://ALERTMANAGER/api/v2/alerts                       Prometheus Alertmanager, API v2
https://events.pagerduty.com/v2/enqueue/ROUTING_KEY      PagerDuty Events API v2; the key is taken out of the address
https://hooks.slack.com/services/…                       Slack, incoming webhook
anything else                                            the notice's own members
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

_ALERTMANAGER: Final = "/api/v2/alerts"
_PAGERDUTY: Final = "/v2/enqueue"


def notice_request(url: str, notice: Mapping[str, Any], key: str, at: str, *, is_over: bool) -> tuple[str, Any]:
    """Return the address and the JSON of a notice.

    `notice` has `text`; `key` is the same when something begins and when it is over (`is_over`), `at` an ISO instant.
    """
    parts = urlsplit(url)
    text = str(notice.get("text") or key)
    if parts.path.endswith(_ALERTMANAGER):
        labels = {"alertname": "CdsHooksNotice", "severity": "warning", "subject": key}
        alert: dict[str, Any] = {"labels": labels, "annotations": {"summary": text}}
        return url, [alert | {"endsAt" if is_over else "startsAt": at}]
    if parts.path.startswith(f"{_PAGERDUTY}/"):
        routing_key = parts.path.removeprefix(f"{_PAGERDUTY}/")
        event: dict[str, Any] = {"routing_key": routing_key, "dedup_key": key}
        payload = {"summary": text[:1024], "source": "cds-hooks", "severity": "warning", "timestamp": at}
        event |= {"event_action": "resolve"} if is_over else {"event_action": "trigger", "payload": payload}
        return f"{parts.scheme}://{parts.netloc}{_PAGERDUTY}", event
    if parts.hostname == "hooks.slack.com":
        return url, {"text": f"Over: {text}" if is_over else text}
    return url, dict(notice)
