"""What a declared suggestion does, its label, and where a fault of a rule stands."""

from typing import Any

import msgspec
import pytest

from cards.rules.language.rule import (
    DosePart,
    Drug,
    LabOrder,
    OrderChange,
    Product,
    RuleError,
    Sig,
    SuggestionTemplate,
    Trigger,
    within,
)
from tests.each import for_rows

SIG, PRODUCT = Sig("1 daily"), Product("1", "x")


@for_rows(
    ("change", "writes_dose", "is_of_study"),
    [
        (OrderChange(sig=SIG), True, False),
        (OrderChange(part=DosePart(1.0, 0.5, 10.0)), True, False),
        (OrderChange(product=PRODUCT), True, False),
        (OrderChange(duration_days=7), False, False),
        (OrderChange(test=LabOrder("1", "x")), False, True),
        (OrderChange(occurrence="2026-11-20"), False, True),
        (OrderChange(), False, False),
    ],
)
def test_what_a_change_writes(change: OrderChange, writes_dose: bool, is_of_study: bool) -> None:
    assert (change.writes_dose, change.is_of_study) == (writes_dose, is_of_study)


@for_rows(
    ("error", "text", "path"),
    [
        (RuleError("wrong", ("b",)), "wrong", ("a", 3, "b")),
        (KeyError("rxcui"), "'rxcui' is missing", ("a", 3)),
        (ValueError("no number"), "no number", ("a", 3)),
        (TypeError("no list"), "no list", ("a", 3)),
    ],
)
def test_a_fault_is_told_with_where_it_stands(error: Exception, text: str, path: tuple[Any, ...]) -> None:
    with pytest.raises(RuleError) as refused, within("a", 3):
        raise error
    assert (refused.value.text, refused.value.path, str(refused.value)) == (text, path, text)


def test_what_is_declared_without_saying_it_is_nothing() -> None:
    assert msgspec.structs.asdict(Sig("x")) == {
        "text": "x", "dose_mg": None, "dose_share": None, "times_per_week": None, "weekday": None, "is_written": False,
        "dose_mg_high": None, "times_per_day": None, "every_hours": None, "when": None, "as_needed": False,
        "once": False, "max_mg_per_day": None,
    }  # fmt: skip
    assert msgspec.structs.asdict(Trigger()) == {
        "draft": (), "pair": (), "tests": (), "local_forms": False, "same_ingredient": False, "same_class": False,
    }  # fmt: skip
    assert msgspec.structs.asdict(SuggestionTemplate(label="x")) == {
        "id": None, "label": "x", "active_label": None, "cancel": False, "hold": False, "change": None,
        "stop_partner": None, "change_partner": None, "create": (), "orders": (), "recommended": False,
        "only_if": None, "from_estimate": False, "answers": "", "in_steps": False,
    }  # fmt: skip
    assert (LabOrder("1", "x").in_days, OrderChange().raises, Product("1", "x").slow_release) == (0, False, False)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"rxcui": "1", "name": "x", "colour": "red"}, Drug)
