"""The limits of what a card may say: the shortest and longest, dates, words that say nothing, and what is to do."""

from typing import Any

import pytest

from models_onnx.errors import CardIncomplete
from models_onnx.model_card.schema import PRODUCT_NAMES, card_problems, refuse_incomplete_card

Json = dict[str, Any]


def _set(card: Json, path: str, value: Any) -> None:
    *steps, last = path.split(".")
    part: Any = card
    for step in steps:
        part = part[int(step)] if isinstance(part, list) else part[step]
    part[last] = value


_LIMITS: list[tuple[str, list[Any], list[Any]]] = [
    ("product.horizon_hours", [0.1, 1], [0, -1, "1", None]),
    ("product.acting_window_hours", [0.1], [0]),
    ("product.stress_move_at_most", [0.01, 1.0], [0.0, 1.01]),
    ("product.auroc_floor", [0.5, 1.0], [0.49, 1.01]),
    ("product.data_last_year", [1900, 2020], [1899, 2020.5]),
    ("product.indications", [["x"]], [[], [""]]),
    ("product.signals", [[], ["ecg"]], [[""]]),
    ("product.time_critical", [True, False], ["no", 0]),
    ("product.output_type", ["score", "alarm", "classification", "list"], ["other"]),
    ("product.device_status", ["non-device-cds", "enforcement-discretion", "cleared", "administrative"], ["free"]),
    ("product.setting", ["outpatient", "discharge", "inpatient", "population"], ["home"]),
    ("product.clearance", [None, "K123456"], [1]),
    ("product.statement", ["x" * 10], ["x" * 9]),
    ("product.section_1557", ["x" * 10], ["x" * 9]),
    ("product.security", ["x" * 10], ["x" * 9]),
    ("product.input_evidence", [{"a": "x" * 10}], [{"a": "x" * 9}]),
    ("product.label.kind", ["outcome", "utilisation", "cost", "judgement"], ["guess"]),
    ("product.label.words", ["x"], [""]),
    ("product.fairness_axes.sex", ["all", "calibration", "none"], ["some"]),
    ("product.irm.reviewed", ["2026-11-20"], ["2026-13-01", "20.11.2026", ""]),
    ("product.irm.safety", ["x"], [""]),
    ("product.waivers.0.gate", ["G1", "G9", "G10", "G18"], ["G0", "G19", "G20", "9", "G1x"]),
    ("product.waivers.0.reason", ["x" * 20], ["x" * 19]),
    ("product.waivers.0.at_most", [0.001, 1.0], [0.0, 1.001]),
    ("product.waivers.0.covers", [["sex"]], [[""], "sex"]),
    ("product.waivers.0.by", ["x"], [""]),
    ("product.waivers.0.granted", ["2024-02-29"], ["2023-02-29"]),
    ("model.id", ["x"], [""]),
    ("model.version", ["1"], ["", 1]),
    ("model.core_sha256", ["a" * 64], ["a" * 63, "a" * 65, "A" * 64]),
    ("product.keywords", [["a"]], [[""]]),
]


@pytest.mark.parametrize(("path", "fine", "wrong"), _LIMITS, ids=[path for path, _, _ in _LIMITS])
def test_a_member_of_a_card_has_its_limits(card: Json, path: str, fine: list[Any], wrong: list[Any]) -> None:
    for value in fine:
        _set(card, path, value)
        assert card_problems(card) == [], value
    for value in wrong:
        _set(card, path, value)
        problems = card_problems(card)
        assert problems, value
        assert all(problem.startswith(path) for problem in problems), problems


@pytest.mark.parametrize(
    "name",
    ["horizon_hours", "acting_window_hours", "time_critical", "output_type", "indications", "device_status", "setting",
     "data_last_year", "label", "explanation", "irm", "section_1557", "statement", "security"],
)  # fmt: skip
def test_what_the_product_of_a_model_must_have(card: Json, name: str) -> None:
    assert name in PRODUCT_NAMES
    del card["product"][name]
    assert card_problems(card) == [f"product.{name}: Field required"]


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
