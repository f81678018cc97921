"""CRD's metrics (CRDMetricData 2.0.1) of the recorded answers to payers' calls, from the payer's side."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from cards.coverage.annotation import URL, values_of
from cds_hooks.evidence.storage.decision import Decision

SERVICE: Final = "coverage-requirements"
_STATUS: Final = {"required": 412, "timeout": 503}
"""What a recorded refusal was answered with: data that is required was missing, or the time was over."""


def crd_metric(decision: Decision) -> dict[str, Any]:
    """Return the CRDMetricData of one decision; nothing of the patient is in it."""
    response, basis = msgspec.json.decode(decision.response), msgspec.json.decode(decision.basis)
    answered = datetime.fromtimestamp(decision.decided_at / 1e6, UTC)
    took = timedelta(milliseconds=sum((basis.get("timings") or {}).values()))
    metric: dict[str, Any] = {
        "source": "payer-src",
        "hookInstance": decision.hook_instance,
        "hookType": decision.hook,
        "providerId": {"value": decision.user_id or "not recorded"},
        "groupId": {"value": decision.client},
        "payerId": {"system": "urn:ietf:rfc:3986", "value": "not known"},
        "requestTime": (answered - took).isoformat(timespec="milliseconds"),
        "responseTime": answered.isoformat(timespec="milliseconds"),
        "httpResponse": 200,
    }
    if response.get("resourceType") == "OperationOutcome":
        issues = [issue.get("code", "processing") for issue in response.get("issue", ())]
        status = next((_STATUS[code] for code in issues if code in _STATUS), 400)
        return metric | {"httpResponse": status, "issue": [{"code": code} for code in issues]}
    codes, answers = [], []
    for action in response.get("systemActions", ()):
        resource = action["resource"]
        notes = [values_of(entry) for entry in resource["extension"] if entry.get("url") == URL]
        codes += [{"coding": values.get("billingCode", [])} for values in notes]
        infos = [_coverage_info(values) for values in notes]
        contacts = [contact["value"] for values in notes for contact in values.get("contact", ())]
        metric["payerId"]["value"] = next(
            (contact for contact in contacts if contact.startswith("http")), metric["payerId"]["value"]
        )
        answers.append({"type": "coverage-info", "focus": [resource["resourceType"]], "coverageInfo": infos})
    for card in response["cards"]:
        if topic := card["source"].get("topic"):  # a client of CDS Hooks 1.0 is sent none
            answers.append({"type": topic["code"]})
        metric["payerId"]["value"] = card["source"].get("url") or card["source"]["label"]
    return metric | {"orderDetail": [code for code in codes if code["coding"]], "response": answers}


def _coverage_info(values: dict[str, list[Any]]) -> dict[str, Any]:
    names = {
        "covered": "covered",
        "pa-needed": "paNeeded",
        "doc-needed": "docNeeded",
        "info-needed": "infoNeeded",
        "coverage-assertion-id": "assertionId",
        "satisfied-pa-id": "satisfiedId",
    }
    info = {written: values[name][0] for name, written in names.items() if name in values}
    forms = [
        {"reference": address, "adaptive": False, "response": "response" in values}
        for address in values.get("questionnaire", ())
    ]
    return info | ({"questionnaire": forms} if forms else {})
