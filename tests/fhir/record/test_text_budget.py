"""The texts of one call have budgets: the most important first, and what is over one is told of as not read."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from fhir.mapping.allergies import allergies, unread_allergies
from fhir.record.record import read_record, read_value
from fhir.record.text_budget import (
    CHARACTERS_OF_A_CALL,
    CHARACTERS_OF_ALLERGIES,
    CHARACTERS_OF_DIRECTIONS,
    NOT_READ,
    readable_texts,
    within_text_budget,
)
from tests.fhir import builders
from tests.fhir.builders import medication_order

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
SUBJECT = {"reference": "Patient/p"}


def _allergies(count: int, text: str) -> list[dict[str, Any]]:
    return [builders.allergy(text, status=None, patient="p", id=f"a{number}") for number in range(count)]


def _reports(count: int, text: str) -> list[dict[str, Any]]:
    head = {"resourceType": "DiagnosticReport", "status": "final", "subject": SUBJECT}
    return [{**head, "id": f"r{number}", "conclusion": text} for number in range(count)]


def _bundle(resources: list[dict[str, Any]]) -> Any:
    bundle = builders.bundle(*resources)
    value, refusals = read_value("chart", msgspec.json.encode(bundle))
    assert not refusals
    return value


def _texts(bundle: Any) -> list[str]:
    return [entry.resource.code.text for entry in bundle.entry]


def test_what_is_over_the_budget_is_said_once_for_each_type_and_the_first_are_read() -> None:
    fitting = CHARACTERS_OF_A_CALL // 400
    values = {
        "reports": _bundle(_reports(3, "r" * 400)),
        "allergies": _bundle(_allergies(fitting + 2, "penicillin" * 40)),
    }
    read, refusals = within_text_budget(values)
    assert _texts(read["allergies"]) == ["penicillin" * 40] * fitting + [NOT_READ] * 2
    assert [entry.resource.conclusion for entry in read["reports"].entry] == [NOT_READ] * 3  # behind the allergies
    assert [(refusal.subject, refusal.reason, refusal.text.split()[3]) for refusal in refusals] == [
        ("AllergyIntolerance", "too-much-text", "2"),
        ("DiagnosticReport", "too-much-text", "3"),
    ]


def test_an_allergy_whose_text_is_not_read_is_said_to_be_one_that_could_not_be_read() -> None:
    read, refusals = within_text_budget({"allergies": _bundle(_allergies(60, "no-" * 130))})
    record = read_record(read, "p", AS_OF, refusals=refusals)
    assert allergies(record) == ()
    assert NOT_READ in unread_allergies(record)
    assert "too-much-text" in {refusal.reason for refusal in record.refusals}


@pytest.mark.parametrize("sign", ["", '"', "\\", "é"])
def test_different_names_have_a_budget_and_the_same_ones_cost_once(sign: str) -> None:
    fitting = CHARACTERS_OF_ALLERGIES // 60
    names = [f"{sign}{number:04} ".ljust(60, "c") for number in range(fitting + 5)]
    resources = [resource for name in names for resource in _allergies(3, name)]
    for count, more in ((3 * fitting, 0), (len(resources), 15)):
        charted = msgspec.json.encode(builders.bundle(*resources[:count]))
        read, refusals = readable_texts({"chart": _bundle(resources[:count])}, charted)
        assert [text == NOT_READ for text in _texts(read["chart"])] == [False] * 3 * fitting + [True] * more
        assert [refusal.text.split()[3] for refusal in refusals] == ["15"] * bool(more)


def test_a_list_of_allergies_that_is_too_long_leaves_the_medications_their_budget() -> None:
    names = [f"{number:04} ".ljust(60, "c") for number in range(2 * CHARACTERS_OF_ALLERGIES // 60)]
    listed = [resource for name in names for resource in _allergies(1, name)]
    orders = [{**_order(""), "medicationCodeableConcept": {"text": name.upper()}} for name in names]
    read, refusals = within_text_budget({"chart": _bundle([*listed, *orders])})
    ordered = [entry.resource.medicationCodeableConcept.text for entry in read["chart"].entry[len(names) :]]
    assert [text == NOT_READ for text in ordered] == [False] * 200 + [True] * 200
    assert [refusal.text.split()[3] for refusal in refusals] == ["200", "200"]


def _order(directions: str, status: str = "active", **dosage: Any) -> dict[str, Any]:
    return medication_order(
        "metformin 500 mg", status=status, intent=None, patient="p", dosageInstruction=[{"text": directions, **dosage}]
    )


def test_directions_have_a_budget_of_their_own_from_which_active_orders_take_first() -> None:
    fitting = CHARACTERS_OF_DIRECTIONS // 400
    ended = [_order(f"{number:04} ".ljust(400, "e"), "completed") for number in range(4)]
    active = [_order(f"{number:04} ".ljust(400, "a")) for number in range(fitting - 1)]
    too_long = _order("")
    too_long["dosageInstruction"] = [{"text": "t" * 400}] * (fitting + 1)
    read, refusals = within_text_budget({"orders": _bundle([*ended, too_long, *active])})
    texts = [entry.resource.dosageInstruction[0].text for entry in read["orders"].entry]
    assert [text == NOT_READ for text in texts] == [False, True, True, True, True, *(False for _ in active)]
    assert [entry.resource.medicationCodeableConcept.text for entry in read["orders"].entry][1] == "metformin 500 mg"
    assert [refusal.text.split()[3] for refusal in refusals] == ["4"]
