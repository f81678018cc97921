"""G6 at its limits: sums, links, inputs without effect, what is missing, and noise, of a model that is a formula."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.workbench.gates.checks import explanation
from models_onnx.workbench.gates.checks.explanation import check_explanation
from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.rows import ordinary, with_missing_values
from models_onnx.workbench.gates.subject import Answers
from tests.each import for_rows
from tests.models_onnx.workbench.gates.formula import INPUTS, NOTHING, changed, linear, subject

Array = NDArray[np.float64]


@pytest.mark.parametrize("member", ["margin", "contributions", "base"])
def test_a_file_without_margin_base_or_contributions_explains_nothing(member: str) -> None:
    silent = changed(**{member: lambda _rows, _value: None})
    assert check_explanation(subject(silent), NOTHING) == Verdict("", (explanation.NOT_EXPLAINED,))


def _answers(
    margin: float, base: float, *contributions: float, probability: float = 0.5, link: str = "logit"
) -> Answers:
    return Answers(
        np.array([probability]), np.array([margin]), np.array([contributions]), None, None, base, link
    )  # fmt: skip


@for_rows(
    ("link", "margin", "probability", "gap"),
    [
        ("logit", 0.0, 0.5, 0.0),
        ("logit", np.log(3.0), 0.5, 0.25),
        ("cloglog", 0.0, 1.0 - np.exp(-1.0), 0.0),
        ("cloglog", 800.0, 0.75, 0.25),
        ("identity", 0.25, 0.5, 0.25),
        ("identity", -1.0, 0.0, 0.0),
        ("identity", 2.0, 1.0, 0.0),
        ("probit", 0.0, 0.5, np.inf),
    ],
)
def test_how_far_a_probability_is_from_that_of_its_margin(
    link: str, margin: float, probability: float, gap: float
) -> None:
    answers = _answers(margin, 0.0, probability=probability, link=link)
    assert explanation._link_gap(answers) == pytest.approx(gap, abs=1e-12)


@pytest.mark.parametrize(
    ("by", "faults"),
    [
        (0.99e-5, []),
        (1.01e-5, ["base and contributions miss the margin by 1.0e-05 (limit 1e-05)"]),
        (float("nan"), ["base and contributions miss the margin by nan (limit 1e-05)"]),
    ],
)
def test_a_sum_that_misses_the_margin_by_more_than_a_hundred_thousandth(by: float, faults: list[str]) -> None:
    # the first person's margin lies within 1 of 0
    off = changed(base=lambda _rows, base: base + by)
    assert [fault for fault in check_explanation(subject(off), NOTHING).faults if "miss" in fault] == faults


@pytest.mark.parametrize(
    ("by", "faults"),
    [(0.99e-5, ()), (1.01e-5, ("the margin is not logit of the probability: 1.0e-05 apart (limit 1e-05)",))],
)
def test_a_probability_apart_from_its_margin_by_more_than_a_hundred_thousandth(
    by: float, faults: tuple[str, ...]
) -> None:
    off = changed(probability=lambda _rows, probability: probability + by)
    assert check_explanation(subject(off), NOTHING).faults == faults


def test_a_sum_and_a_link_exactly_at_the_limit_are_right() -> None:
    def at_the_limit(rows: Array) -> Answers:
        nothing = np.zeros(len(rows))
        return Answers(nothing, nothing + 1e-5, np.zeros(rows.shape), None, None, 0.0, "identity")

    assert check_explanation(subject(at_the_limit), NOTHING).faults == ()


class _Recorded:
    """Answers of a function, with the rows that were brought."""

    def __init__(self, answers: Callable[[Array], Answers]) -> None:
        self.answers, self.rows = answers, list[Array]()

    def __call__(self, rows: Array) -> Answers:
        self.rows.append(rows)
        return self.answers(rows)

    @property
    def counts(self) -> list[int]:
        return [len(rows) for rows in self.rows]


@for_rows(
    ("effect", "contribution", "faults", "counts"),
    [
        (0.0, 0.0, [], [25, 100, 100, 100]),
        (0.0, 1e-6, [], [25, 100, 100, 100]),
        (0.0, 1.1e-6, ["sodium changes no estimate and yet contributes"], [25, 100, 100, 8000, 8000, 100]),
        (1e-7, 1.0, ["sodium changes no estimate and yet contributes"], [25, 100, 100, 8000, 8000, 100]),
        (1.1e-7, 1.0, [], [25, 100, 100, 100]),
    ],
)
def test_an_input_that_changes_nothing_contributes_nothing(
    effect: float, contribution: float, faults: list[str], counts: list[int]
) -> None:
    def of_sodium(rows: Array) -> Answers:
        is_high = np.nan_to_num(rows[:, 1]) > 140.0
        nothing = np.zeros(len(rows))
        return replace(linear(rows), probability=np.asarray(effect * is_high),
                       contributions=np.column_stack([nothing, contribution * is_high, nothing]))  # fmt: skip

    recorded = _Recorded(of_sodium)
    people = ordinary(INPUTS, 300)
    assert explanation._dummy_faults(subject(recorded), people) == faults
    assert recorded.counts == counts
    assert np.array_equal(recorded.rows[0], people[:25])
    for position, moved in enumerate(rows for rows in recorded.rows[1:] if len(rows) == 100):
        others = [column for column in range(3) if column != position]
        assert np.array_equal(moved[:, others], np.repeat(people[:25], 4, axis=0)[:, others])
        low, high = INPUTS[position].trained_low, INPUTS[position].trained_high
        assert low <= moved[:, position].min() < low + 0.1 * (high - low)
        assert high >= moved[:, position].max() > high - 0.1 * (high - low)


def test_an_input_that_matters_to_few_contributes_rightly() -> None:
    """Sodium counts only above 158 in people under 21: in none of the first 25 people."""

    def rarely(rows: Array) -> Answers:
        counts = (rows[:, 0] < 21.0) & (rows[:, 1] > 158.0)
        contributions = np.column_stack([np.zeros(len(rows)), rows[:, 1] > 140.0, np.zeros(len(rows))])
        return replace(linear(rows), probability=np.asarray(2e-7 * counts), contributions=contributions)

    assert explanation._dummy_faults(subject(rarely), ordinary(INPUTS, 300)) == []


def test_contributions_of_groups_are_not_looked_at_input_by_input() -> None:
    groups = changed(contributions=lambda _rows, contributions: contributions.sum(axis=1, keepdims=True))
    assert check_explanation(subject(groups), NOTHING).faults == ()


@pytest.mark.parametrize(
    ("by", "faults"),
    [
        (1e-6, []),
        (2e-6, [
            "a missing input contributes up to 2.0e-06, and the model declares that it counts as the average: declare "
            "missing_inputs='imputed' or 'learned', whichever it is, and train again",
        ]),
    ],
)  # fmt: skip
def test_a_missing_input_of_the_average_contributes_nothing(by: float, faults: list[str]) -> None:
    rows = np.array([[50.0, np.nan, 1.0], [60.0, 140.0, 0.0]])
    contributions = np.array([[1.0, -by, 1.0], [1.0, 1.0, 1.0]])
    assert explanation._missing_faults(replace(linear(rows), contributions=contributions), rows) == faults
    whole = rows[1:]
    assert explanation._missing_faults(replace(linear(whole), contributions=contributions[1:]), whole) == []
    assert explanation._missing_faults(replace(linear(rows), contributions=contributions[:, :2]), rows) == []
    assert explanation._missing_faults(replace(linear(rows), contributions=None), rows) == []


def _imputed(values: dict[str, float]) -> Any:
    return SimpleNamespace(missing_kind="imputed", missing_inputs=SimpleNamespace(values=values))


@for_rows(
    ("values", "faults"),
    [
        ({"age": 55.0, "sodium": 140.0, "smoker": 0.25}, ()),
        ({"age": 55.0, "sodium": 140.0}, ("no value is declared that stands in for a missing smoker",)),
        (
            {"age": 55.0, "sodium": 141.0, "smoker": 0.25},
            ("a missing sodium counts otherwise than as 141: 1.0e-01 apart",),
        ),
        ({"age": 55.0, "sodium": 140.00009, "smoker": 0.25}, ()),
        (
            {"age": 55.0, "sodium": 140.00011, "smoker": 0.25},
            ("a missing sodium counts otherwise than as 140: 1.1e-05 apart",),
        ),
    ],
)
def test_a_missing_input_counts_as_the_value_that_is_declared_for_it(
    values: dict[str, float], faults: tuple[str, ...]
) -> None:
    verdict = check_explanation(subject(manifest=_imputed(values)), NOTHING)
    assert verdict.faults == faults
    assert verdict.figures["missing"] == "imputed"
    assert verdict.sentence.endswith("A missing input counts as the value that is declared for it.")


LEARNED = SimpleNamespace(missing_kind="learned")


def _learned(absence: float) -> Callable[[Array], Answers]:
    """The formula, in which a sodium that is missing contributes so much."""

    def answers(rows: Array) -> Answers:
        plain = linear(rows)
        assert plain.contributions is not None
        lacks = np.isnan(rows[:, 1])
        contributions = plain.contributions.copy()
        contributions[lacks, 1] = absence
        margin = contributions.sum(axis=1) - 1.0
        return replace(plain, margin=margin, contributions=contributions, probability=1.0 / (1.0 + np.exp(-margin)))

    return answers


def _people(lacking: int, count: int = 200) -> Array:
    people = ordinary(INPUTS, count)
    people[:lacking, 1] = np.nan
    return people


@for_rows(
    ("absence", "lacking", "faults"),
    [
        (-0.51234567, 2, ()),
        (0.3, 1, (
            "1 of 200 people lacked sodium, so what its absence contributes (up to 0.30) was learned from nobody: "
            "declare it always required, or impute it",
        )),
        (0.000001, 1, (
            "it declares that absence was learned, and no absence contributes: leave the declaration out",
        )),
        (0.000002, 2, ()),
    ],
)  # fmt: skip
def test_an_absence_is_learned_from_one_in_a_hundred_people_or_more(
    absence: float, lacking: int, faults: tuple[str, ...]
) -> None:
    verdict = check_explanation(subject(_learned(absence), manifest=LEARNED), replace(NOTHING, people=_people(lacking)))
    assert verdict.faults == faults
    assert verdict.figures["missing"] == "learned"
    assert verdict.figures["largest_of_absence"] == round(abs(absence), 4)
    assert verdict.sentence.endswith(
        f"A missing input counts by what was learned from people without it, up to {abs(absence):.2f} in the margin."
    )


def test_an_absence_that_cannot_be_is_not_looked_at_and_one_of_groups_is_not_known() -> None:
    evidence = replace(NOTHING, people=_people(0))
    required = subject(_learned(0.3), always=frozenset({"sodium"}))
    assert explanation._learned_faults(required, evidence, ordinary(INPUTS, 300)) == (
        ["it declares that absence was learned, and no absence contributes: leave the declaration out"],
        0.0,
    )
    groups = changed(contributions=lambda _rows, contributions: contributions[:, :2])
    assert explanation._learned_faults(subject(groups), evidence, ordinary(INPUTS, 300)) == (
        ["contributions are of groups, so what an absence contributes is not known"],
        0.0,
    )


def test_without_rows_it_is_not_known_from_whom_an_absence_was_learned() -> None:
    with pytest.raises(NotRun) as reason:
        check_explanation(subject(_learned(0.3), manifest=LEARNED), NOTHING)
    assert str(reason.value) == (
        "It declares that absence was learned; without the rows it cannot be seen from whom: no rows were given."
    )


@pytest.mark.parametrize(
    ("moved", "faults"),
    [
        (60, ()),
        (61, ("under ±1 % noise only 0.80 of the strongest three stay (limit 0.8)",)),
        (150, ("under ±1 % noise only 0.50 of the strongest three stay (limit 0.8)",)),
    ],
)
def test_four_fifths_of_the_strongest_inputs_stay_under_noise(moved: int, faults: tuple[str, ...]) -> None:
    """Six inputs, of which three are the strongest: with noise, for some people, the other three."""
    inputs = (*INPUTS, *(INPUTS[0] for _ in range(3)))
    people = ordinary(inputs, 300)
    rows = with_missing_values(people, inputs, frozenset())

    def answers(rows_: Array) -> Answers:
        count = len(rows_)
        contributions = np.tile([0.3, 0.2, 0.1, 0.0, 0.0, 0.0], (count, 1))
        if count == 300 and not np.array_equal(rows_, people) and not np.isnan(rows_).any():
            contributions[:moved] = contributions[:moved, ::-1]
        contributions[np.isnan(rows_)] = 0.0
        margin = contributions.sum(axis=1)
        return Answers(1.0 / (1.0 + np.exp(-margin)), margin, contributions, None, None, 0.0, "logit")

    assert np.isnan(rows).any()
    verdict = check_explanation(subject(answers, features=inputs), NOTHING)
    assert verdict.faults == faults
    assert verdict.figures["overlap"] == round((300 - moved) / 300, 3)


def test_noise_moves_what_is_measured_by_up_to_one_in_a_hundred_and_within_its_range() -> None:
    recorded = _Recorded(linear)
    people = ordinary(INPUTS, 300)
    people[0, 0], people[1, 0] = 20.0, 90.0
    assert explanation._overlap(subject(recorded), people) == 1.0
    before, after = recorded.rows
    assert np.array_equal(before, people)
    factor = after / np.where(people == 0.0, 1.0, people)
    assert np.array_equal(after[:, 2], people[:, 2]), "a smoker stays a smoker"
    assert 0.99 <= factor[:, :2].min() < 0.9905
    assert 1.01 >= factor[:, :2].max() > 1.0095
    assert 20.0 <= after[:, 0].min() <= after[:, 0].max() <= 90.0
    silent = subject(changed(contributions=lambda _rows, _contributions: None))
    assert explanation._overlap(silent, people) == 0.0


def test_the_strongest_are_the_farthest_from_nothing_and_the_first_of_equals() -> None:
    contributions = np.array([[0.1, -0.3, 0.2, 0.2], [0.0, 0.0, -1.0, 0.5]])
    assert explanation._strongest(contributions, 3) == [[1, 2, 3], [2, 3, 0]]


@pytest.mark.parametrize(("wrong", "apart"), [(0.0, None), (1e-3, "1.0e-03")])
def test_the_shares_of_groups_are_those_of_the_definition(wrong: float, apart: str | None) -> None:
    """Of a sum of terms a group's share is what its inputs add beyond the background."""
    groups = (("first", (0, 1)), ("last", tuple(range(2, len(INPUTS)))))
    background = linear(np.array([[item.reference_value for item in INPUTS]]))

    def summed(rows: Array, contributions: Array) -> Array:
        base = background.contributions
        assert base is not None
        shares = np.column_stack([(contributions - base)[:, list(members)].sum(axis=1) for _, members in groups])
        return np.asarray(np.add(shares, [wrong, 0.0]))

    people = ordinary(INPUTS, 8)
    grouped = subject(changed(contributions=summed), groups=groups, metadata={"coalitions": "16"})
    faults = explanation._group_faults(grouped, people)
    expected = f"the shares of groups are {apart} apart from their Shapley values (limit 1e-05)"
    assert faults == ([] if apart is None else [expected])
