"""`cds-hooks coverage`: the metric of each answer, member by member, and the sentences about policies."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cards.coverage.annotation import URL, values_of
from cds_hooks.commands.coverage import app, metric_of
from cds_hooks.storage import Decision
from cds_hooks.storage.queries import DecisionFilter

Json = dict[str, Any]
AT = 1_795_165_200_250_000
"""2026-11-20, 09:00:00.250 UTC."""


def _decision(response: Json, **changes: Any) -> Decision:
    members: Json = {
        "id": "1",
        "decided_at": AT,
        "hook": "order-sign",
        "service": "coverage-requirements",
        "hook_instance": "h1",
        "client": "a payer's client",
        "patient": "p",
        "outcome": "cards",
        "input_digest": "",
        "models": b"[]",
        "response": json.dumps(response).encode(),
        "basis": b'{"timings": {"decode": 100.0, "rules": 150.5}}',
    }
    return Decision(**(members | changes))


def _note(*parts: tuple[str, str, Any], url: str = URL) -> Json:
    return {"url": url, "extension": [{"url": name, kind: value} for name, kind, value in parts]}


def _action(kind: str, *extensions: Json) -> Json:
    return {"type": "update", "resource": {"resourceType": kind, "extension": list(extensions)}}


COMMON: Json = {
    "source": "payer-src",
    "hookInstance": "h1",
    "hookType": "order-sign",
    "providerId": {"value": "not recorded"},
    "groupId": {"value": "a payer's client"},
    "payerId": {"system": "urn:ietf:rfc:3986", "value": "not known"},
    "requestTime": "2026-11-20T08:59:59.999+00:00",
    "responseTime": "2026-11-20T09:00:00.250+00:00",
    "httpResponse": 200,
}


def _metric(response: Json, **changes: Any) -> Json:
    return metric_of(_decision(response, **changes), URL, values_of)


def test_an_answer_without_cards_and_actions_has_the_times_and_who_asked() -> None:
    assert _metric({"cards": []}) == COMMON | {"orderDetail": [], "response": []}
    others = {"basis": b"{}", "user_id": "k1:abc"}
    assert _metric({"cards": []}, **others) == COMMON | {
        "orderDetail": [],
        "response": [],
        "providerId": {"value": "k1:abc"},
        "requestTime": "2026-11-20T09:00:00.250+00:00",
    }
    assert _metric({"cards": []}, basis=b'{"timings": null}')["requestTime"] == "2026-11-20T09:00:00.250+00:00"


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
        "response": [
            {
                "type": "coverage-info",
                "focus": ["DeviceRequest"],
                "coverageInfo": [
                    {
                        "covered": "conditional",
                        "paNeeded": "performpa",
                        "docNeeded": "clinical",
                        "infoNeeded": "performer",
                        "assertionId": "a1",
                        "satisfiedId": "s1",
                        "questionnaire": [
                            {"reference": "https://payer.example/q1", **form},
                            {"reference": "https://payer.example/q2", **form},
                        ],
                    },
                    {"covered": "covered"},
                ],
            },
            {
                "type": "coverage-info",
                "focus": ["ServiceRequest"],
                "coverageInfo": [{"questionnaire": [{"reference": "q3", "adaptive": False, "response": False}]}],
            },
        ],
    }


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


@pytest.mark.parametrize(
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


def _output(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def test_codes_of_which_another_list_is_in_force_are_listed_with_the_day_of_the_change() -> None:
    assert _output("changes", "2024-08-11", "2024-08-11") == (0, "", "")
    knee = "- L1833 Knee orthosis, adjustable joints, off the shelf (performpa, 2024-08-11)\n"
    code, forward, _ = _output("changes", "2024-08-11", "2024-08-12")
    assert code == 0
    assert forward.startswith(f"{knee}+ L0631 Lumbar-sacral, knee or ankle-foot orthosis (performpa, 2024-08-12)\n")
    assert [line[:7] for line in forward.splitlines()[1:]] == [
        "+ L0631",
        "+ L0637",
        "+ L0639",
        "+ L1843",
        "+ L1845",
        "+ L1951",
        "+ E0747",
        "+ E0748",
        "+ E0760",
    ]
    assert _output("changes", "2024-08-12", "2024-08-11") == (2, "", "The last day is before the first.\n")
    for days in (("2024-08", "2024-08-12"), ("2024-08-11", "tomorrow")):
        assert _output("changes", *days) == (2, "", "A day is written as YYYY-MM-DD.\n")


def test_a_folder_without_an_order_and_a_payer_that_is_not_there_are_said(tmp_path: Path) -> None:
    nothing = (1, "", "No order in this folder has a rule of this payer.\n")
    assert _output("simulate", str(tmp_path)) == nothing
    code, shown, errors = _output("simulate", str(tmp_path), "--payer", "nobody")
    assert (code, shown) == (2, "")
    assert errors == "There is no payer nobody; there are medicare, sample-advantage.\n"


def test_where_there_is_no_record_no_metric_is_printed(tmp_path: Path) -> None:
    words = f"There is no record at {tmp_path}/none.sqlite3 yet; a server makes it when it starts.\n"
    assert _output("metrics", "--database", f"sqlite:///{tmp_path}/none.sqlite3") == (1, "", words)


def test_without_a_folder_no_case_is_run() -> None:
    code, shown, errors = _output("lint")
    assert (code, errors, shown.splitlines()[-1]) == (0, "", "0 cases, 0 wrong.")


HEAD = "id,payer,system,code,category,covered,pa_needed,effective_from,effective_to,source\n"


def _payer(folder: Path, *rows: str) -> str:
    """The folder of a payer with these rows."""
    folder.mkdir(exist_ok=True)
    (folder / "payers.csv").write_text("payer,name,names,plans,identifiers\nown,Own Health Plan,,,\n")
    (folder / "policies.csv").write_text(HEAD + "".join(f"{row}\n" for row in rows))
    return str(folder)


def test_the_rows_of_each_payer_are_counted_with_those_that_end(tmp_path: Path) -> None:
    open_end = "{},own,HCPCS,{},Formula,listed,auth-needed,2026-01-01,,p"
    ended = "c,own,HCPCS,B4152,Formula,listed,auth-needed,2026-01-01,2026-06-30,p"
    folder = _payer(tmp_path / "own", open_end.format("a", "B4150"), open_end.format("b", "B4153"), ended)
    code, shown, errors = _output("lint", folder)
    lines = shown.splitlines()
    assert (code, errors, lines[-1]) == (0, "", "0 cases, 0 wrong.")
    assert "own: 3 rows, 1 with an end. Own Health Plan" in lines
    assert lines[-2].split(" sets of criteria. Version ")[0].isdigit()
    (tmp_path / "own" / "cases").mkdir()
    (tmp_path / "own" / "cases" / "torn.json").write_text("{")
    code, _, errors = _output("lint", folder)
    assert (code, "torn.json" in errors, errors[-2:]) == (1, True, ".\n")
    wrong = _payer(tmp_path / "wrong", "a,own,HCPCS,B4150,Formula,listed,auth-needed,soon,,p")
    for words in (("lint", wrong), ("changes", "2026-01-01", "2026-01-02", "--folder", wrong)):
        code, shown, errors = _output(*words)
        assert (code, shown, "policies.csv, line 2: 'soon' is no day" in errors) == (1, "", True)


def test_what_a_payer_would_ask_for_is_counted_by_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        b"1": [("E1", "covered", ""), ("A1", "conditional", "auth-needed")],
        b"2": [("A1", "conditional", "auth-needed")],
    }
    asked: list[Any] = []

    def simulate(content: bytes, rules: Any, payer: Any, now: Any) -> list[tuple[str, str, str]]:
        asked.append((content, payer.id, now.tzinfo is not None))
        return found[content]

    monkeypatch.setattr("cards.coverage.simulation.simulate_orders", simulate)
    (tmp_path / "in").mkdir()
    for name, content in (("b.json", b"2"), ("in/a.json", b"1"), ("c.txt", b"3")):
        (tmp_path / name).write_bytes(content)
    said = "A1: 2 orders, conditional, auth-needed\nE1: 1 orders, covered, nothing said\n"
    assert _output("simulate", str(tmp_path)) == (0, said, "")
    assert json.loads(_output("simulate", str(tmp_path), "--json")[1]) == [
        {"code": "A1", "covered": "conditional", "pa_needed": "auth-needed", "orders": 2},
        {"code": "E1", "covered": "covered", "pa_needed": "", "orders": 1},
    ]
    assert sorted(asked[:2]) == [(b"1", "medicare", True), (b"2", "medicare", True)]


def test_metrics_are_of_answers_to_payers_since_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    refusal: Json = {"resourceType": "OperationOutcome", "issue": [{"code": "required"}]}

    def find(url: str, wanted: DecisionFilter) -> list[Decision]:
        asked.append((url, wanted))
        return [_decision(refusal)]

    monkeypatch.setattr("cds_hooks.commands.coverage.find_decisions", find)
    code, shown, errors = _output("metrics", "--database", "url", "--since", "2026-11-20T09:00:00")
    assert (code, json.loads(shown), errors) == (0, COMMON | {"httpResponse": 412, "issue": [{"code": "required"}]}, "")
    assert asked == [("url", DecisionFilter(service="coverage-requirements", since=1_795_165_200_000_000))]
