"""An order written on /try, how the drafts there are told in words, and what an accepted suggestion makes of them."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.kit.simulator.signing import new_key, sign_token
from cds_hooks.pages.tester.bench import Fields, UnusableForm, object_in, patient_of
from cds_hooks.pages.tester.orders import Orderable, compose, follow, search_orderables
from tests.cds_hooks.calls import PLANNING, client
from tests.cds_hooks.pages.tester.pressing import opened
from tests.each import for_rows
from tests.fhir.builders import medication_order, service_request

METFORMIN = Orderable(
    "MedicationRequest",
    "metformin hydrochloride 500 MG Oral Tablet",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "861007",
)
TODAY = date(2026, 11, 20)


def test_a_dose_stands_in_the_order_in_words_and_an_order_without_one_has_none() -> None:
    order = compose(METFORMIN, "1 tablet twice a day", TODAY)
    assert {name: value for name, value in order.items() if name != "id"} == {
        "resourceType": "MedicationRequest",
        "status": "draft",
        "intent": "order",
        "authoredOn": "2026-11-20",
        "medicationCodeableConcept": {
            "coding": [{"system": METFORMIN.system, "code": "861007", "display": METFORMIN.name}],
            "text": METFORMIN.name,
        },
        "dosageInstruction": [{"text": "1 tablet twice a day"}],
    }
    assert (order["id"][:6], len(order["id"])) == ("draft-", 14)
    assert "dosageInstruction" not in compose(METFORMIN, "", TODAY)
    test = compose(Orderable("ServiceRequest", "Chest X-ray"), "2", TODAY)
    assert {name: value for name, value in test.items() if name != "id"} == service_request(
        "Chest X-ray", status="draft", patient=None, authoredOn="2026-11-20"
    )


def test_what_can_be_ordered_is_found_by_its_whole_name_alone() -> None:
    assert search_orderables("  METFORMIN hydrochloride  500 mg oral tablet ") == [METFORMIN]
    assert len(search_orderables("metformin hydrochloride 500 mg oral")) > 1
    (ingredient,) = search_orderables("warfarin")
    assert (ingredient.kind, ingredient.code) == ("MedicationRequest", "11289")
    laboratory = [each for each in search_orderables("potassium") if each.kind == "ServiceRequest"]
    assert laboratory
    assert all(each.system == "http://loinc.org" and ";" not in each.code and each.code for each in laboratory)


def _order(number: str, name: str, text: str) -> dict[str, Any]:
    dosage = [{"text": text}]
    return medication_order(name, status=None, intent=None, patient=None, id=number, dosageInstruction=dosage)


def test_actions_of_a_suggestion_change_the_drafts() -> None:
    first, second = _order("1", "ibuprofen", "400 mg"), _order("2", "naproxen", "")
    drafts = [first, second]
    weaker, new = _order("1", "ibuprofen", "200 mg"), _order("3", "sodium", "")
    for actions, after in (
        (["no action", {"type": "create"}, {"type": "other", "resource": weaker}], drafts),
        ([{"type": "update", "resource": weaker}], [second, weaker]),
        ([{"type": "delete", "resourceId": "MedicationRequest/2"}], [first]),
        ([{"type": "delete", "resource": first}], [second]),
        ([{"type": "delete", "resourceId": "MedicationRequest/9"}, {"type": "delete"}], drafts),
        ([{"type": "create", "resource": new}], [*drafts, new]),
    ):
        assert follow(drafts, actions) == after, actions
    assert drafts == [first, second]
    (made,) = follow([], [{"type": "create", "resource": {"resourceType": "ServiceRequest"}}])
    assert (made["resourceType"], made["id"][:6], len(made["id"])) == ("ServiceRequest", "draft-", 14)


def test_what_is_typed_is_taken_without_the_space_around_it_and_the_request_as_it_stands() -> None:
    typed = dict.fromkeys(("file", "paste", "order", "dose", "token", "upload", "request"), " x ")
    taken = Fields.model_validate(typed | {"unknown": "y"}).model_dump(include=set(typed))
    assert taken == dict.fromkeys(("file", "paste", "order", "dose", "token"), "x") | dict.fromkeys(
        ("upload", "request"), " x "
    )


def test_a_request_names_its_patient_where_it_can_be_read() -> None:
    assert patient_of('{"context": {"patientId": "p"}}') == "p"
    for wrong in ("{", "[]", "{}", '{"context": 7}', '{"context": null}'):
        assert patient_of(wrong) == ""


@for_rows(
    ("text", "said"),
    [
        ("", r"The file is not JSON: .+\."),
        ("{", r"The file is not JSON: .+\."),
        ("[" * 100_000, r"The file is not JSON: .+\."),
        ("[]", r"The file is JSON but no object\."),
        ("null", r"The file is JSON but no object\."),
    ],
)
def test_what_is_no_object_is_named(text: str, said: str) -> None:
    with pytest.raises(UnusableForm, match=f"^{said}$"):
        object_in(text, "The file")


def test_an_object_may_have_a_mark_of_its_byte_order() -> None:
    assert object_in('\ufeff{"a": 1}', "The file") == {"a": 1}


OPERATOR = "operator-token-of-the-tests"
KEY = new_key("https://ehr.example")
TRUST = f"""
version = 1

[[client]]
name = "ehr"
issuers = ["https://ehr.example"]
algorithms = ["ES384"]
jwks_file = "keys.json"
services = ["{PLANNING}"]
"""


def behind_a_trust_file(folder: Path) -> dict[str, Any]:
    (folder / "keys.json").write_text(json.dumps(KEY.key_set()))
    (folder / "trust.toml").write_text(TRUST)
    return {"trust_file": folder / "trust.toml", "operator_token": OPERATOR, "public_url": "http://127.0.0.1:8085"}


async def test_behind_a_trust_file_the_page_is_for_the_operator_alone_also_where_decisions_are_for_everyone(
    tmp_path: Path,
) -> None:
    async with client(tmp_path, **behind_a_trust_file(tmp_path), explain_pages="everyone") as calls:
        assert (await calls.get("/try")).status_code == 403
        assert (await calls.post("/try")).status_code == 403
        assert "try" not in [link for link in (await calls.get("/")).text.split('"') if link == "try"]
        calls.headers["authorization"] = f"Bearer {OPERATOR}"
        page = await opened(calls)
        assert page.answer.status_code == 200
        assert "Open development profile" not in page.text


async def test_a_call_from_the_page_needs_the_token_of_a_client_which_is_never_written_back(tmp_path: Path) -> None:
    async with client(tmp_path, **behind_a_trust_file(tmp_path)) as calls:
        calls.headers["authorization"] = f"Bearer {OPERATOR}"
        refused = await (await opened(calls)).press("send")
        token = sign_token(KEY, f"http://127.0.0.1:8085/cds-services/{PLANNING}")
        answered = await refused.press("send", token=token)
    assert "Answered with HTTP 401" in refused.text
    assert "people with results like these" in answered.text
    assert token not in answered.html
    assert OPERATOR not in answered.html
