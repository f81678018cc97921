"""A blank attribute is refused by number and name; the eleven that may be unavailable need a reason and a date."""

from typing import Any

import pytest

from models_onnx.errors import CardIncomplete
from models_onnx.model_card.attributes import EVIDENCE, PREDICTIVE, Attribute
from models_onnx.model_card.schema import card_problems, refuse_incomplete_card

MUST = [attribute for attribute in PREDICTIVE if not attribute.may_be_unavailable]
MAY = [attribute for attribute in PREDICTIVE if attribute.may_be_unavailable]


def put(card: dict[str, Any], attribute: Attribute, value: Any) -> None:
    """Writes the value where the attribute stands."""
    *steps, last = attribute.path.split(".")
    for step in steps:
        card = card[step]
    card[last] = value


def test_there_are_31_and_13_attributes_and_20_may_never_be_blank() -> None:
    assert [len(PREDICTIVE), len(EVIDENCE), len(MUST)] == [31, 13, 20]
    assert [attribute.number for attribute in PREDICTIVE] == [str(number) for number in range(1, 32)]


def test_the_committed_card_is_whole(card: dict[str, Any]) -> None:
    assert card_problems(card) == []


@pytest.mark.parametrize("attribute", PREDICTIVE, ids=lambda attribute: attribute.path)
def test_a_blank_attribute_is_named_by_number(card: dict[str, Any], attribute: Attribute) -> None:
    blank = f"attribute {attribute.number} {attribute.cite} {attribute.path} ({attribute.title}) is blank"
    for nothing in ("", "  ", "TBD", "n/a", "None.", "to do", "<fill in>", "-"):
        put(card, attribute, {"words": nothing})
        assert card_problems(card) == [blank], nothing


def test_a_missing_attribute_and_a_missing_section_are_named(card: dict[str, Any]) -> None:
    del card["purpose"]["users"]
    del card["fairness"]
    found = card_problems(card)
    assert [problem.split()[1] for problem in found] == ["7", "15", "16"]


@pytest.mark.parametrize("attribute", MUST, ids=lambda attribute: attribute.path)
def test_twenty_may_not_be_unavailable(card: dict[str, Any], attribute: Attribute) -> None:
    put(card, attribute, {"not_available": "We did not look.", "as_of": "2026-11-20"})
    assert "may not be 'not available'" in card_problems(card)[0]


@pytest.mark.parametrize("attribute", MAY, ids=lambda attribute: attribute.path)
def test_eleven_may_with_a_reason_and_a_date(card: dict[str, Any], attribute: Attribute) -> None:
    put(card, attribute, {"not_available": "No such study is known.", "as_of": "2026-11-20"})
    assert card_problems(card) == []
    put(card, attribute, {"not_available": "", "as_of": "2026-11-20"})
    assert "reason and date are missing" in card_problems(card)[0]
    put(card, attribute, {"not_available": "No such study is known."})
    assert "reason and date are missing" in card_problems(card)[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(kind="magic"), "'predictive' or 'evidence-based'"),
        (lambda c: c.update(format="other/1"), "format"),
        (lambda c: c.update(extra=1), "extra"),
        (lambda c: c["product"].pop("statement"), "statement"),
        (lambda c: c["product"].update(horizon_hours=-1), "horizon_hours"),
        (lambda c: c["product"].update(banana=True), "banana"),
        (lambda c: c["product"]["irm"].update(reviewed="lately"), "irm.reviewed"),
        (lambda c: c["product"]["waivers"][0].pop("expires"), "expires"),
    ],
)
def test_what_else_is_wrong_is_named_by_its_place(card: dict[str, Any], change: Any, said: str) -> None:
    change(card)
    assert any(said in problem for problem in card_problems(card)), card_problems(card)


Json = dict[str, Any]


def test_what_is_not_available_has_a_reason_of_content_and_a_date(card: Json) -> None:
    name = "attribute 17 (B)(6)(i) external.source (External validation: data and setting)"
    for value, problems in (
        ({"not_available": "No data.", "as_of": "2026-11-20"}, []),
        ({"not_available": "unknown", "as_of": "2026-11-20"}, [f"{name}: reason and date are missing"]),
        ({"not_available": "No data.", "as_of": ""}, [f"{name}: reason and date are missing"]),
        ({"words": "Tested at a hospital."}, []),
        ("Tested at a hospital.", [f"{name} is blank"]),
    ):
        card["external"]["source"] = value
        assert card_problems(card) == problems
    card["external"]["source"] = {"not_available": "No data.", "as_of": "soon"}
    assert len(card_problems(card)) >= 1
    card["external"]["source"] = {"words": "Tested.", "from": "guessed"}
    assert len(card_problems(card)) >= 1
    for origin in ("computed", "declared", "computed and declared"):
        card["external"]["source"] = {"words": "Tested.", "from": origin, "figures": {"n": 1}}
        assert card_problems(card) == []
    users = card["purpose"]["users"]
    card["purpose"]["users"] = {"not_available": "Nobody.", "as_of": "2026-11-20"}
    assert card_problems(card) == ["attribute 7 (B)(2)(iii) purpose.users (Intended users) may not be 'not available'"]
    card["purpose"]["users"] = users


def test_what_is_still_to_do_in_the_product_is_named_by_its_place(card: Json) -> None:
    card["product"]["statement"] = "TODO"
    card["product"]["label"]["audit"]["words"] = "TODO say it"
    card["product"]["indications"] = ["death", "TODO"]
    card["product"]["consent"] = "A TODO later in a sentence is none"
    assert sorted(card_problems(card)) == [
        "product.indications is still to do", "product.label.audit.words is still to do",
        "product.statement is still to do",
    ]  # fmt: skip


def test_a_card_of_no_kind_and_one_without_a_model_are_named(card: Json) -> None:
    for kind in (None, "other"):
        card["kind"] = kind
        assert card_problems(card) == [f"the card says kind {kind!r}; it is 'predictive' or 'evidence-based'"]
    card["model"] = "mortality_5y"
    with pytest.raises(CardIncomplete, match=r"^the model card of the card is incomplete: the card says kind "):
        refuse_incomplete_card(card)
    with pytest.raises(CardIncomplete, match=r"^the model card of the card is incomplete: the card says kind None"):
        refuse_incomplete_card({})
    with pytest.raises(CardIncomplete, match=r"^the model card of m is incomplete: "):
        refuse_incomplete_card({"model": {"id": "m"}})
