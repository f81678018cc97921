"""CRD's metric of each answer, member by member."""

import json
from typing import Any

from cards.coverage.annotation import URL
from cds_hooks.audit.crd_metrics import crd_metric
from cds_hooks.storage import Decision
from tests.each import for_rows

Json = dict[str, Any]
AT = 1_795_165_200_250_000
"""2026-11-20, 09:00:00.250 UTC."""


def _decision(response: Json, **changes: Any) -> Decision:
    members: Json = {
        "id": "1", "decided_at": AT, "hook": "order-sign", "service": "coverage-requirements", "hook_instance": "h1",
        "client": "a payer's client", "patient": "p", "outcome": "cards", "input_digest": "", "models": b"[]",
        "response": json.dumps(response).encode(), "basis": b'{"timings": {"decode": 100.0, "rules": 150.5}}',
    }  # fmt: skip
    return Decision(**(members | changes))


def _note(*parts: tuple[str, str, Any], url: str = URL) -> Json:
    return {"url": url, "extension": [{"url": name, kind: value} for name, kind, value in parts]}


def _action(kind: str, *extensions: Json) -> Json:
    return {"type": "update", "resource": {"resourceType": kind, "extension": list(extensions)}}


COMMON: Json = {
    "source": "payer-src", "hookInstance": "h1", "hookType": "order-sign", "providerId": {"value": "not recorded"},
    "groupId": {"value": "a payer's client"}, "payerId": {"system": "urn:ietf:rfc:3986", "value": "not known"},
    "requestTime": "2026-11-20T08:59:59.999+00:00", "responseTime": "2026-11-20T09:00:00.250+00:00",
    "httpResponse": 200,
}  # fmt: skip


def _metric(response: Json, **changes: Any) -> Json:
    return crd_metric(_decision(response, **changes))


def test_a_call_of_which_no_times_were_kept_took_none() -> None:
    metric = _metric({"cards": []}, basis=b"{}", user_id="u1")
    assert (metric["requestTime"], metric["providerId"]) == (COMMON["responseTime"], {"value": "u1"})


def test_each_annotated_order_is_an_answer_with_its_codes() -> None:
    code = {"system": "urn:hcpcs", "code": "L5856"}
    full = _note(
        ("covered", "valueCode", "conditional"),
        ("pa-needed", "valueCode", "performpa"),
        ("doc-needed", "valueCode", "clinical"),
        ("info-needed", "valueCode", "performer"),
        ("coverage-assertion-id", "valueString", "a1"),
        ("satisfied-pa-id", "valueString", "s1"),
        ("billingCode", "valueCoding", code),
        ("contact", "valueContactPoint", {"value": "+1 555"}),
        ("contact", "valueContactPoint", {"value": "https://payer.example"}),
        ("contact", "valueContactPoint", {"value": "https://second.example"}),
        ("questionnaire", "valueCanonical", "https://payer.example/q1"),
        ("questionnaire", "valueCanonical", "https://payer.example/q2"),
        ("response", "valueReference", {"reference": "QuestionnaireResponse/1"}),
    )
    bare = _note(("covered", "valueCode", "covered"))
    strange = _note(("covered", "valueCode", "not-covered"), url="https://elsewhere.example")
    response = {
        "cards": [],
        "systemActions": [
            _action("DeviceRequest", strange, full, bare),
            _action("ServiceRequest", _note(("questionnaire", "valueCanonical", "q3"))),
        ],
    }
    form: Json = {"adaptive": False, "response": True}
    assert _metric(response) == COMMON | {
        "payerId": {"system": "urn:ietf:rfc:3986", "value": "https://payer.example"},
        "orderDetail": [{"coding": [code]}],
        "response": [{"type": "coverage-info", "focus": ["DeviceRequest"],
                      "coverageInfo": [{"covered": "conditional", "paNeeded": "performpa", "docNeeded": "clinical",
                                        "infoNeeded": "performer", "assertionId": "a1", "satisfiedId": "s1",
                                        "questionnaire": [{"reference": "https://payer.example/q1", **form},
                                                          {"reference": "https://payer.example/q2", **form}]},
                                       {"covered": "covered"}]},
                     {"type": "coverage-info", "focus": ["ServiceRequest"],
                      "coverageInfo": [{"questionnaire": [{"reference": "q3", "adaptive": False,
                                                           "response": False}]}]}],
    }  # fmt: skip


def test_a_card_names_its_topic_and_its_payer() -> None:
    def card(**source: Any) -> Json:
        return {"summary": "x", "source": {"topic": {"code": "guidance"}, "label": "Medicare", **source}}

    assert _metric({"cards": [card()]}) == COMMON | {
        "payerId": {"system": "urn:ietf:rfc:3986", "value": "Medicare"},
        "orderDetail": [],
        "response": [{"type": "guidance"}],
    }
    assert _metric({"cards": [card(url="https://payer.example")]})["payerId"]["value"] == "https://payer.example"
    note = _note(("contact", "valueContactPoint", {"value": "ftp: no address"}))
    assert _metric({"cards": [], "systemActions": [_action("DeviceRequest", note)]})["payerId"]["value"] == "not known"


@for_rows(
    ("codes", "status"),
    [(["timeout"], 503), (["required"], 412), (["invalid"], 400), (["invalid", "required", "timeout"], 412), ([], 400)],
)
def test_a_refusal_has_its_status_and_its_codes(codes: list[str], status: int) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"code": code} for code in codes]}
    issues = {"httpResponse": status, "issue": [{"code": code} for code in codes]}
    assert _metric(outcome, outcome="error") == COMMON | issues


def test_a_refusal_that_says_nothing_was_one_of_processing() -> None:
    issues = {"httpResponse": 400, "issue": [{"code": "processing"}]}
    assert _metric({"resourceType": "OperationOutcome", "issue": [{}]}) == COMMON | issues
    assert _metric({"resourceType": "OperationOutcome"}) == COMMON | {"httpResponse": 400, "issue": []}
