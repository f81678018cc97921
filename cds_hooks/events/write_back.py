"""Writes to a FHIR server what an event put on the worklist: a Flag or a Task for a finding, a RiskAssessment.

Only where the site declares it, only what stands in the worklist by the decision on record, and only by this address:
what is read over a call's `fhirServer` stays for reading. Ids follow from the decision and the finding, so what is sent
again changes nothing, and a finding that a newer decision no longer has is ended.
"""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from sqlalchemy import select

from cards.extension import EXTENSION_KEY
from cds_hooks.events.declaration import Webhook, WriteTarget
from cds_hooks.events.inbox import Inbox
from cds_hooks.events.outbox import Delivery, Outcome, outcome_of
from cds_hooks.logs import log
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions

_PROBABILITIES: Final = frozenset({"logit", "cloglog"})
"""The links of equations whose value is a probability; the value of others is a score."""
_CATEGORY: Final = {"system": "http://terminology.hl7.org/CodeSystem/flag-category", "code": "clinical"}


class WriteBack(Delivery):
    """Writes what the decisions of events put on the worklist, in their order."""

    def __init__(
        self, inbox: Inbox, name: str, target: WriteTarget, source: str, now: Callable[[], float], record_url: str
    ) -> None:
        super().__init__(inbox, f"write_back {name}", Webhook(url=target.url, types=("decision-made",)), source, now)
        self._target, self._record_url = target, record_url

    async def _post(self, client: Any, _event_id: str, _subject: str, body: bytes) -> Outcome:
        import httpx

        try:
            token = self._target.token()
            resources = await asyncio.to_thread(self._resources, orjson.loads(body)["data"]["decision"])
        except (OSError, RecordUnavailable) as error:
            log().warning("not written back", client=self._name, error_type=type(error).__name__)
            return "away"
        headers = {"content-type": "application/fhir+json"} | ({"authorization": f"Bearer {token}"} if token else {})
        for resource in resources:
            address = f"{self._target.url.rstrip('/')}/{resource['resourceType']}/{resource['id']}"
            try:
                answer = await client.put(address, content=orjson.dumps(resource), headers=headers)
            except httpx.HTTPError as error:
                log().warning("not written back", client=self._name, error_type=type(error).__name__)
                return "away"
            if not answer.is_success:
                log().warning("not written back", client=self._name, status=answer.status_code)
                return outcome_of(answer.status_code)
        return "taken"

    def _resources(self, decision: str) -> list[dict[str, Any]]:
        """Return what a decision writes: its findings, those of the decision before that it ends, its estimate."""
        rows = read_rows(self._record_url, select(decisions).where(decisions.c.id == decision))
        if not rows:
            return []
        row = rows[0]
        same = [decisions.c[name] == getattr(row, name) for name in ("client", "service", "patient")]
        earlier = read_rows(
            self._record_url,
            select(decisions)
            .where(*same, decisions.c.sequence < row.sequence)
            .order_by(decisions.c.sequence.desc())
            .limit(1),
        )
        findings = _worklist(row)
        before = _worklist(earlier[0]) if earlier else {}
        ended = {key: finding for key, finding in before.items() if key not in findings}
        resources = [self._finding(row, key, finding, is_over=False) for key, finding in findings.items()]
        resources += [self._finding(row, key, finding, is_over=True) for key, finding in ended.items()]
        estimate = risk_assessment(row) if findings and "RiskAssessment" in self._target.resources else None
        return [resource for resource in [*resources, estimate] if resource is not None]

    def _finding(
        self, row: Any, key: tuple[str, str], finding: dict[str, Any], *, is_over: bool
    ) -> dict[str, Any] | None:
        kind = next((name for name in self._target.resources if name in ("Flag", "Task")), "")
        at, subject = _moment(row), {"reference": f"Patient/{row.patient}"}
        coding = {"coding": [{"system": "http://loinc.org", "code": finding["code"]}]} if finding.get("code") else {}
        code = coding | {"text": finding["test"]}
        resource = {"id": _id(row, *key), "identifier": _identifier(row)}
        if kind == "Flag":
            period = {"end": at} if is_over else {"start": at}
            status = "inactive" if is_over else "active"
            more = {"status": status, "category": [{"coding": [_CATEGORY]}], "subject": subject, "period": period}
        elif kind == "Task":
            status = "cancelled" if is_over else "requested"
            more = {"status": status, "intent": "proposal", "for": subject, "authoredOn": at}
        else:
            return None
        return {"resourceType": kind, "code": code} | resource | more


def risk_assessment(row: Any) -> dict[str, Any] | None:
    """Return the estimate of a decision; None where it has none that is a probability."""
    scores = orjson.loads(bytes(row.basis)).get("scores") or {}
    name, probability = scores.get("id"), scores.get("probability")
    if scores.get("link") in _PROBABILITIES:
        probability = scores.get("value")
    if not name or not isinstance(probability, float):
        return None
    prediction: dict[str, Any] = {"probabilityDecimal": probability}
    if "of_the_other_sex" in scores:  # the sex is not recorded: the results of both, in percent as FHIR has a range
        ends = zip(("low", "high"), (probability, scores["of_the_other_sex"]["value"]), strict=True)
        prediction = {"probabilityRange": {end: {"value": 100 * value, "unit": "%"} for end, value in ends}}
    return {
        "resourceType": "RiskAssessment",
        "id": _id(row, row.id, "estimate"),
        "identifier": _identifier(row),
        "status": "final",
        "method": {"text": f"{name} {scores.get('version', '')}".strip()},
        "subject": {"reference": f"Patient/{row.patient}"},
        "occurrenceDateTime": _moment(row),
        "prediction": [prediction],
    }


def _worklist(row: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the response of a decision put on the worklist, by what it is for and its code, else its words."""
    response = orjson.loads(bytes(row.response)) if row.response else {}
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in response.get("extension", {}).get(EXTENSION_KEY, {}).get("worklist", ()):
        key = entry["purpose"], entry.get("code", "")
        entries[(entry["purpose"], entry["test"]) if key in entries else key] = entry
    return entries


def _id(row: Any, *parts: str) -> str:
    """Return an id that is the same for the same finding of the same patient."""
    return hashlib.sha256("\0".join((row.client, row.service, row.patient, *parts)).encode()).hexdigest()[:32]


def _identifier(row: Any) -> list[dict[str, str]]:
    return [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{row.id}"}]


def _moment(row: Any) -> str:
    return datetime.fromtimestamp(row.decided_at / 1_000_000, UTC).isoformat(timespec="seconds")
