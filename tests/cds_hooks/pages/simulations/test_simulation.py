"""A simulation in words and counts, worked out by hand: what changed, what was left out, which examples are kept."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from cds_hooks.pages.simulations.evaluation import _about, _can_show, _what, _with_progress
from cds_hooks.pages.simulations.simulation import Counts, Example, Result, Simulation

RULE = Simulation("rule", "r", "A rule", "off", 2_000, days=7)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"change": "speaks"}, "it shows its cards"),
        ({}, "switched off"),
        ({"change": "version", "value": "m@2"}, "version m@2"),
        ({"change": "share", "value": "5"}, "cards for 5 in 100 patients"),
    ],
)
def test_what_is_tried_in_words(changes: Any, words: str) -> None:
    assert replace(RULE, **changes).change_words == words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "the newest 2,000 recorded decisions of the last 7 days"),
        ({"days": 1}, "the newest 2,000 recorded decisions of the last day"),
        ({"folder": "ward"}, "at most 2,000 charts of the folder ward"),
    ],
)
def test_on_what_it_is_tried_in_words(changes: Any, words: str) -> None:
    assert replace(RULE, **changes).source_words == words


@pytest.mark.parametrize(
    ("before", "after", "how", "total", "bands", "others"),
    [
        ({}, {}, None, Counts(1, 0, 0), {}, {}),
        ({"r/a": 1}, {"r/a": 1}, "same", Counts(1, 1, 1), {"r/a": Counts(1, 1, 1)}, {}),
        ({"r/a": 2}, {"r/a": 1}, "fewer", Counts(1, 1, 1), {"r/a": Counts(1, 1, 1)}, {}),
        ({"r/a": 1}, {}, "fewer", Counts(1, 1, 0), {"r/a": Counts(1, 1, 0)}, {}),
        ({}, {"r/a": 1}, "more", Counts(1, 0, 1), {"r/a": Counts(1, 0, 1)}, {}),
        ({"r/a": 1}, {"r/b": 1}, "same", Counts(1, 1, 1), {"r/a": Counts(1, 1, 0), "r/b": Counts(1, 0, 1)}, {}),
        ({"x/a": 1}, {}, None, Counts(1, 0, 0), {}, {"x/a": Counts(1, 1, 0)}),
        ({"x/a": 1}, {"x/a": 1}, None, Counts(1, 0, 0), {}, {}),
        ({"x/a": 1}, {"x/a": 2}, None, Counts(1, 0, 0), {}, {"x/a": Counts(1, 1, 1)}),
    ],
)
def test_a_decision_is_counted_by_its_cards_before_and_after(
    before: dict[str, int], after: dict[str, int], how: str | None, total: Counts, bands: Any, others: Any
) -> None:
    result = Result()
    assert result.take("s", "g", Counter(before), Counter(after), _about(RULE)) == how
    assert (result.judged, result.total, result.by_band, result.others) == (1, total, bands, others)
    assert (result.by_service, result.by_group) == ({"s": total}, {"g": total})


def test_what_is_left_out_is_counted_by_its_reason_and_five_examples_of_a_kind_are_kept() -> None:
    result = Result()
    for reason in ("a", "b", "a"):
        result.leave_out(reason)
    assert result.left_out == {"a": 2, "b": 1}
    for how, what in [("more", "r/a")] * 6 + [("more", "r/b")] + [("fewer", "r/a")] * 2:
        result.keep(Example(how, what, "g"))  # type: ignore[arg-type]
    assert Counter((example.how, example.what) for example in result.examples) == {
        ("more", "r/a"): 5, ("more", "r/b"): 1, ("fewer", "r/a"): 2,
    }  # fmt: skip


def test_the_rows_of_a_result_are_sorted_within_their_kind() -> None:
    one, two = Counts(1, 1, 1), Counts(2, 1, 0)
    result = Result(
        total=two, by_band={"b": one, "a": two}, by_service={"s": one}, by_group={"g": one}, others={"y": one, "x": two}
    )
    assert list(result.rows()) == [
        ("all", "", two), ("band", "a", two), ("band", "b", one), ("service", "s", one), ("group", "g", one),
        ("card of another", "x", two), ("card of another", "y", one),
    ]  # fmt: skip


def test_cards_are_of_the_rule_by_its_band_and_of_the_model_by_its_name() -> None:
    of_rule, of_model = _about(RULE), _about(replace(RULE, kind="model", name="m"))
    assert [of_rule(what) for what in ("r/a", "r", "rr/a", "m")] == [True, True, False, False]
    assert [of_model(what) for what in ("m", "m/a", "r")] == [True, False, False]


def test_an_example_names_a_card_of_what_is_tried_else_the_service() -> None:
    def change(more: tuple[str, ...] = (), fewer: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Any:
        return SimpleNamespace(more=more, fewer=fewer, after=after, service="s")

    assert _what(change(("x/a", "r/m"), ("r/f",), ("r/n",)), _about(RULE)) == "r/m"
    assert _what(change((), ("r/f",), ("r/n",)), _about(RULE)) == "r/f"
    assert _what(change((), (), ("r/n",)), _about(RULE)) == "r/n"
    assert _what(change(("x/a",)), _about(RULE)) == "s"


def test_a_model_is_tried_with_the_services_that_ask_it_and_a_rule_with_those_that_ask_none() -> None:
    asks = [SimpleNamespace(manifest=SimpleNamespace(id="m"))]
    model = replace(RULE, kind="model", name="m")
    assert [_can_show(models, model) for models in (asks, [], [object()])] == [True, False, False]
    assert [_can_show(models, RULE) for models in (asks, [])] == [False, True]


def test_progress_is_told_before_each_decision() -> None:
    told: list[tuple[int, int]] = []
    decisions: Any = ["a", "b"]
    seen: list[Any] = list(_with_progress(decisions, 9, lambda judged, most: told.append((judged, most))))
    assert seen == decisions
    assert told == [(0, 9), (1, 9)]
