"""The limits of what a card may say: the shortest and longest, dates, words that say nothing, and what is to do."""

from typing import Any

import pytest

from models_onnx.errors import CardIncomplete
from models_onnx.model_card.schema import card_problems, refuse_incomplete_card

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
