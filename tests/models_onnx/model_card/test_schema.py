"""A blank attribute is refused by number and name; the eleven that may be unavailable need a reason and a date."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, load_from_string

from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import CardIncomplete, UnsafeModel
from models_onnx.model_card import embed
from models_onnx.model_card.attributes import EVIDENCE, PREDICTIVE, Attribute
from models_onnx.model_card.calibration import Dot, Tick, calibration, net_benefit_of_everybody, net_benefits
from models_onnx.model_card.embed import KEY, embed_card, read_card, without_card
from models_onnx.model_card.schema import card_problems, refuse_incomplete_card
from models_onnx.serving.registry import load_model
from tests.conftest import examples
from tests.each import for_rows
from tests.models_onnx.workshop import core

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


def test_another_card_takes_the_place_of_the_first(card: dict[str, Any]) -> None:
    twice = embed_card(embed_card(core(), {"first": 1}), card)
    assert read_card(twice) == card
    assert twice == embed_card(core(), card)


@settings(max_examples=examples(20))
@given(st.dictionaries(st.text(max_size=10), st.text(max_size=300), max_size=4))
def test_any_card_comes_back(said: dict[str, str]) -> None:
    assert read_card(embed_card(core(), said)) == said


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_a_card_that_is_no_object_is_refused(text: str) -> None:
    proto = load_from_string(core())
    helper.set_model_props(proto, {KEY: text})
    with pytest.raises(CardIncomplete):
        read_card(proto.SerializeToString())


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(UnsafeModel):
        read_card(b"\xff\xff\xff")


@for_rows(("value", "content"), [(0, b"\0"), (1, b"\1"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")])
def test_a_number_is_written_in_groups_of_seven_bits(value: int, content: bytes) -> None:
    assert embed._varint(value) == content


def test_a_card_is_the_field_14_with_a_name_and_a_value() -> None:
    """Field 14 with a length is the byte 114; its fields 1 and 2 are 10 and 18."""
    assert embed_card(b"", {"a": "x"}) == b"\x72\x17" + b"\x0a\x0amodel_card" + b"\x12\x09" + b'{"a":"x"}'
    other = b"\x72\x0a" + b"\x0a\x04name" + b"\x12\x02ab"
    whole = embed_card(other + b"\x08\x05", {"a": 1})
    assert whole.startswith(other + b"\x08\x05")
    assert without_card(whole) == other + b"\x08\x05"
    assert read_card(whole) == {"a": 1}
    with pytest.raises(CardIncomplete, match=r"^the model file holds no model card$"):
        read_card(other)
    with pytest.raises(CardIncomplete, match=r"^the model file holds 2 model cards$"):
        read_card(embed_card(b"", {}) * 2)
    with pytest.raises(CardIncomplete, match=r"^the model card in the file is not JSON$"):
        read_card(b"\x72\x0f" + b"\x0a\x0amodel_card" + b"\x12\x01{")
    with pytest.raises(CardIncomplete, match=r"^the model card in the file is not an object$"):
        read_card(b"\x72\x10" + b"\x0a\x0amodel_card" + b"\x12\x02[]")
    with pytest.raises(UnsafeModel, match=r"^the file's metadata is not text$"):
        read_card(b"\x72\x03" + b"\x0a\x01\xff")


def test_net_benefit_of_a_model_that_was_signed_without_it_follows_from_its_rows() -> None:
    trained = load_model("mortality_5y").manifest
    rows = tuple(msgspec.structs.replace(row, net_benefit=None) for row in trained.thresholds.table)
    thresholds = msgspec.structs.replace(trained.thresholds, table=rows, net_benefit_all=None)
    without = msgspec.structs.replace(trained, thresholds=thresholds)
    assert net_benefits(without) == pytest.approx(net_benefits(trained), abs=2e-4)
    assert net_benefit_of_everybody(without) == pytest.approx(net_benefit_of_everybody(trained), abs=5e-3)


# Places, ends of axes and shares of the drawings of a card, worked out by hand, where few people or none are.


def _row(**facts: Any) -> Any:
    return SimpleNamespace(**{"alert_rate": 0.2, "ppv": 0.3, "sensitivity": 0.6, "net_benefit": None, **facts})


def _manifest(*rows: Any, alerts: float | None = None, everybody: float | None = None) -> Manifest:
    thresholds = SimpleNamespace(
        table=rows, alerts_per_event=alerts, net_benefit_all=everybody, default=rows[0] if rows else None
    )
    return cast(Manifest, SimpleNamespace(thresholds=thresholds))


def test_net_benefit_of_everybody_as_it_was_computed_and_where_nothing_is_found() -> None:
    assert net_benefit_of_everybody(_manifest(_row(), everybody=0.0)) == 0.0
    assert net_benefit_of_everybody(_manifest(_row(sensitivity=0.0))) == -0.25


def test_groups_are_drawn_against_the_diagonal_and_stand_in_the_table() -> None:
    """The axes end at 0.25, the next 0.05 above 0.2: a share of 0.1 lies at two fifths of 300 and of 192."""
    groups = [
        SimpleNamespace(count=50, rate=0.1, predicted=0.1, low=0.05, high=0.2),
        SimpleNamespace(count=1500, rate=0.05, predicted=0.15, low=0.0, high=0.1),
        SimpleNamespace(count=0, rate=0.9, predicted=0.9, low=0.0, high=1.0),
    ]
    drawn = calibration(cast(Manifest, SimpleNamespace(reference=SimpleNamespace(bins=groups))))
    assert drawn.dots == (Dot(168.0, 127.2, 50.4, 165.6), Dot(228.0, 165.6, 127.2, 204.0))
    assert drawn.ticks[::4] == (Tick(48.0, 204.0, "0"), Tick(348.0, 12.0, "25"))
    assert "In 1 of 2 groups the estimate lies within it." in drawn.text
    assert drawn.rows == (("10.0", "10.0", "5.0 to 20.0", "50"), ("15.0", "5.0", "0.0 to 10.0", "1,500"))
