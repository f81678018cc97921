"""What a form of /try holds between two presses."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from cds_hooks.kit.simulator.signing import new_key, sign_token
from cds_hooks.pages.tester.bench import Carried, Fields, UnusableForm, object_in, patient_of
from tests.cds_hooks.calls import PLANNING, client
from tests.cds_hooks.pages.tester.pressing import opened


def test_a_form_that_was_just_opened_has_a_patient_a_call_and_nothing_else() -> None:
    fields = Fields()
    assert (fields.patient, fields.call) == ("sample:ckd4-metformin", "order-select/order-safety-select")
    assert (fields.hook, fields.service) == ("order-select", "order-safety-select")
    assert fields.carried == Carried()
    assert fields.carried is not Fields().carried


def test_what_is_typed_is_taken_without_the_space_around_it_and_the_request_as_it_stands() -> None:
    typed = dict.fromkeys(("file", "paste", "order", "dose", "token", "upload", "request"), " x ")
    taken = Fields.model_validate(typed | {"unknown": "y"}).model_dump(include=set(typed))
    assert taken == dict.fromkeys(("file", "paste", "order", "dose", "token"), "x") | dict.fromkeys(
        ("upload", "request"), " x "
    )


def test_what_a_form_carries_is_taken_back_and_what_is_no_such_thing_is_not() -> None:
    carried = Carried(drafts=[{"resourceType": "ServiceRequest"}])
    assert Fields.model_validate({"carried": msgspec.json.encode(carried).decode()}).carried == carried
    for wrong in ("{", "[]", '{"exchange": 7}', "[" * 100_000):
        with pytest.raises(ValidationError, match="the form is not one of this page; open /try again"):
            Fields.model_validate({"carried": wrong})


def test_a_request_names_its_patient_where_it_can_be_read() -> None:
    assert patient_of('{"context": {"patientId": "p"}}') == "p"
    for wrong in ("{", "[]", "{}", '{"context": 7}', '{"context": null}'):
        assert patient_of(wrong) == ""


@pytest.mark.parametrize(
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


def _behind_a_trust_file(folder: Path) -> dict[str, Any]:
    (folder / "keys.json").write_text(json.dumps(KEY.key_set()))
    (folder / "trust.toml").write_text(TRUST)
    return {"trust_file": folder / "trust.toml", "operator_token": OPERATOR, "public_url": "http://127.0.0.1:8085"}


async def test_behind_a_trust_file_the_page_is_for_the_operator_alone_also_where_decisions_are_for_everyone(
    tmp_path: Path,
) -> None:
    async with client(tmp_path, **_behind_a_trust_file(tmp_path), explain_pages="everyone") as calls:
        assert (await calls.get("/try")).status_code == 403
        assert (await calls.post("/try")).status_code == 403
        assert "try" not in [link for link in (await calls.get("/")).text.split('"') if link == "try"]
        calls.headers["authorization"] = f"Bearer {OPERATOR}"
        page = await opened(calls)
        assert page.answer.status_code == 200
        assert "Open development profile" not in page.text


async def test_a_call_from_the_page_needs_the_token_of_a_client_which_is_never_written_back(tmp_path: Path) -> None:
    async with client(tmp_path, **_behind_a_trust_file(tmp_path)) as calls:
        calls.headers["authorization"] = f"Bearer {OPERATOR}"
        refused = await (await opened(calls)).press("send")
        token = sign_token(KEY, f"http://127.0.0.1:8085/cds-services/{PLANNING}")
        answered = await refused.press("send", token=token)
    assert "Answered with HTTP 401" in refused.text
    assert "people with results like these" in answered.text
    assert token not in answered.html
    assert OPERATOR not in answered.html
