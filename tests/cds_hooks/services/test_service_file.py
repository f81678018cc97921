"""What is wrong with the file of a declared service: every fault with its sentence and the word it is about."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cds_hooks.services._service_file import AlreadyDone, OfferedOrder, ServiceFile, _faults, service_files
from models_onnx.declarations import DeclaringFile
from models_onnx.errors import DeclarationError
from tests.each import for_rows

TALK = OfferedOrder("Order a talk", "Talk with the nurse")
VISIT = OfferedOrder("Order a visit", "Talk with the nurse")
EQUATION = ServiceFile(
    id="heart-talk", hook="patient-view", title="A title", description="A description", usage_requirements="u",
    summary="Within 10 years: {value} ({band}). Consider a talk.", orders=(TALK,), equation="prevent_base", least=0.1,
)  # fmt: skip
MODEL = replace(
    EQUATION, equation=None, least=None, model="mortality_5y",
    summary="Within 5 years: {estimate} (higher than {higher}). Consider a talk.",
)  # fmt: skip
EITHER = "a service names either a model or an equation"
CONSIDER = ("summary does not say 'consider': a card offers, it does not direct", "summary")


@for_rows(
    ("declared", "changes", "faults"),
    [
        (EQUATION, {}, []),
        (MODEL, {}, []),
        (EQUATION, {"least": 0.0}, []),
        (EQUATION, {"output": "ascvd|10y"}, []),
        (EQUATION, {"orders": (TALK, TALK, TALK)}, []),
        (MODEL, {"share": 0.1}, []),
        (MODEL, {"share": 0.1, "within_age_band": False}, []),
        (MODEL, {"within_age_band": True}, []),
        (replace(MODEL, equation="prevent_base"), {}, [(EITHER, "equation")]),
        (EQUATION, {"equation": None}, [(EITHER, "id")]),
        (MODEL, {"output": "o", "least": 0.1},
         [("output is for an equation", "output"), ("least is for an equation", "least")]),
        (MODEL, {"orders": (TALK, TALK)}, [("the card of a model offers one order", "orders")]),
        (MODEL, {"share": 0.1, "within_age_band": True},
         [("share and within_age_band exclude each other: thresholds by age are those of the model", "share")]),
        (EQUATION, {"within_age_band": True},
         [("within_age_band is for a model; an equation has least", "within_age_band")]),
        (EQUATION, {"share": 0.1}, [("share is for a model; an equation has least", "share")]),
        (EQUATION, {"least": None},
         [("least is not given: the value of the equation from which a card is shown", "equation")]),
        (EQUATION, {"only_with": ("diabetes",), "not_with": ("dementia",)}, []),
        (EQUATION, {"title": " "}, [("title has no words", "title")]),
        (EQUATION, {"usage_requirements": ""}, [("usage_requirements has no words", "usage_requirements")]),
        (EQUATION, {"seen": "a\u202eb"}, [("seen has a character that cannot be seen (U+202E)", "seen")]),
        (EQUATION, {"alike": "a {b"}, [("alike has braces: only the summary has places for the result", "alike")]),
        (EQUATION, {"closing": "a b}"},
         [("closing has braces: only the summary has places for the result", "closing")]),
        (EQUATION, {"orders": (OfferedOrder("Order {x}", "Talk"),)},
         [("label has braces: only the summary has places for the result", "label")]),
        (EQUATION, {"orders": (OfferedOrder("Order a talk", "\t"),)}, [("text has no words", "text")]),
        (EQUATION, {"already_done": AlreadyDone(("talk", "a\u0007b"), 1)},
         [("words has a character that cannot be seen (U+0007)", "words")]),
        (EQUATION, {"already_done": AlreadyDone(("talk",), 1)}, []),
        (EQUATION, {"summary": "Within 10 years: {value} ({band}). A talk."}, [CONSIDER]),
        (EQUATION, {"summary": "Within 10 years: {value}. CONSIDER a talk."}, []),
        (EQUATION, {"summary": "{value}. Consider a talk.".ljust(129, "x")}, []),
        (EQUATION, {"summary": "{value}. Consider a talk.".ljust(130, "x")},
         [("summary can be 140 characters long; 139 is the most", "summary")]),
        (EQUATION, {"summary": "Within 10 years. Consider a talk."},
         [("summary does not say the result: it has none of {value}, {band}", "summary")]),
        (MODEL, {"summary": "Within 10 years. Consider a talk."},
         [("summary does not say the result: it has none of {estimate}, {higher}", "summary")]),
        (EQUATION, {"summary": "Within {years} years: {estimate}. Consider a talk."},
         [("summary has no place for {estimate}; there are value, band", "summary")]),
        (MODEL, {"summary": "Within 5 years: {value}. Consider a talk."},
         [("summary has no place for {value}; there are estimate, higher", "summary")]),
        (EQUATION, {"summary": "Within {years} years. A long talk."},
         [("summary has no place for {years}; there are value, band", "summary"), CONSIDER]),
    ],
)  # fmt: skip
def test_each_fault_is_said_with_the_word_that_it_is_about(
    declared: ServiceFile, changes: dict[str, Any], faults: list[tuple[str, str]]
) -> None:
    assert list(_faults(replace(declared, **changes))) == faults


@pytest.mark.parametrize(
    "summary", ["Value {value. Consider a talk.", "{value:q} of it. Consider it.", "{} {value} Consider"]
)
def test_a_summary_that_cannot_be_filled_has_one_fault(summary: str) -> None:
    faults = list(_faults(replace(EQUATION, summary=summary)))
    assert len(faults) == 1
    assert faults[0][1] == "summary"


@for_rows("label", ["Order a talk", "order a talk", "Plan a talk", "Refer to a talk", "Schedule a talk"])
def test_the_verb_of_a_button_is_not_read_as_a_sentence(label: str) -> None:
    declared = replace(EQUATION, orders=(OfferedOrder(label, "Talk"),))
    sentences = list(declared.sentences)
    assert sentences[:4] == [
        ("title", "A title"),
        ("description", "A description"),
        ("summary", "Within 10 years: {value} ({band}). Consider a talk."),
        ("closing", "For planning, not for emergencies."),
    ]
    assert sentences[4] == ("text", "Talk")
    assert sentences[5] == ("label", label.split(" ", 1)[1].join((" ", "")))


WRITTEN = """id = "heart-talk"
hook = "patient-view"
equation = "prevent_base"
least = 0.1
title = "Whom to talk to"
description = "Says the risk."
usage_requirements = "For nurses."
summary = "Within 10 years: {value}. Consider a talk."

[[orders]]
label = "Order a visit"
text = "Talk with the nurse"
"""


def test_the_files_of_a_folder_are_read_in_their_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.service.toml").write_text(WRITTEN.replace("heart-talk", f"heart-{name}"))
    (tmp_path / "c.toml").write_text("x")
    found = list(service_files(tmp_path))
    first = tmp_path / "a.service.toml"
    assert [declared.id for declared, _ in found] == ["heart-a", "heart-b"]
    assert found[0][1] == DeclaringFile("a", first, "a.service.toml", is_in_package=False)
    declared = found[0][0]
    assert (declared.seen, declared.alike, declared.orders) == ("had it", "people with results like these", (VISIT,))
    assert not declared.is_at_discharge
    assert replace(declared, hook="encounter-discharge").is_at_discharge
    assert declared.lines(first) == [
        ("a.service.toml, line 5", "Whom to talk to"),
        ("a.service.toml, line 6", "Says the risk."),
        ("a.service.toml, line 8", "Within 10 years: {value}. Consider a talk."),
        ("a.service.toml, line 1", "For planning, not for emergencies."),
        ("a.service.toml, line 12", "Talk with the nurse"),
        ("a.service.toml, line 11", " a visit"),
        ("a.service.toml, line 7", "For nurses."),
        ("a.service.toml, line 1", "had it"),
        ("a.service.toml, line 1", "people with results like these"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", None),
        ("share = 0.5", "line 14: share is for a model; an equation has least"),
        ("share = 0.51", "line 14: Expected 'float' <= 0.5 - at '$.share'; docs/adding/hospital-model.md"),
        ("share = 0.0", "line 14: Expected 'float' > 0.0 - at '$.share'; docs/adding/hospital-model.md"),
        ("colour = 1", "line 14: there is no member 'colour'; docs/adding/hospital-model.md lists the members"),
    ],
)
def test_a_fault_of_a_file_is_one_error_with_its_line(line: str, said: str | None, tmp_path: Path) -> None:
    head, orders = WRITTEN.split("[[orders]]")
    text = f"{head}\n\n\n\n{line}\n[[orders]]{orders}"
    (tmp_path / "own.service.toml").write_text(text)
    if said is None:
        assert len(list(service_files(tmp_path))) == 1
        return
    with pytest.raises(DeclarationError) as refused:
        list(service_files(tmp_path))
    assert str(refused.value).startswith(f"own.service.toml, {said}")


@pytest.mark.parametrize(
    ("more", "is_read"),
    [
        *((f'[already_done]\nwords = ["talk"]\ndays = {days}', days in (1, 3660)) for days in (0, 1, 3660, 3661)),
        *((f"in_days = {days}", days in (0, 366)) for days in (-1, 0, 366, 367)),
    ],
)
def test_how_long_something_is_done_and_when_an_order_is_due_have_limits(
    more: str, *, is_read: bool, tmp_path: Path
) -> None:
    (tmp_path / "own.service.toml").write_text(f"{WRITTEN}{more}\n")
    with nullcontext() if is_read else pytest.raises(DeclarationError, match=r"days' *; docs/adding"):
        assert len(list(service_files(tmp_path))) == 1
