"""What a form of /try holds between two presses."""

import msgspec
import pytest
from pydantic import ValidationError

from cds_hooks.pages.tester.bench import Carried, Fields, UnusableForm, object_in, patient_of


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
