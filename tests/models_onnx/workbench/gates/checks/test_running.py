"""G3, G4, G5 and G16 at their limits: what is compared, over how many rows, and by which clock."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.workbench.gates.checks import fairness, inputs, running
from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.run import _covers, _in_force, waiver_problem
from models_onnx.workbench.gates.subject import Answers, Evidence, Retrained
from models_onnx.workbench.metrics import net_benefit
from tests.each import for_rows
from tests.models_onnx.workbench.gates.drawn_groups import DESIGNS, share_failed
from tests.models_onnx.workbench.gates.formula import NOTHING, changed, linear, subject

Array = NDArray[np.float64]


def _moved(by: float) -> Callable[[Array], Answers]:
    return changed(probability=lambda _rows, probability: probability + by)


def _retrained(answers: Callable[[Array], Answers] = linear, **facts: Any) -> Evidence:
    whole: dict[str, Any] = {"same_file": True, "same_data": True, "auroc_difference": 0.0, **facts}
    return replace(
        NOTHING, retrained=Retrained(answers=lambda rows: answers(np.asarray(rows, dtype=np.float64)), **whole)
    )


ROWS = 1000 + 1 + 3 * 13
"""500 people, as many with missing values, and the edges: everything missing, and thirteen values of each input."""


def _edgeless(rows: Array) -> Answers:
    """The formula without its numbers for what no chart holds."""
    with np.errstate(over="ignore", invalid="ignore"):
        return linear(np.where(np.isinf(rows), np.nan, rows))


@for_rows(
    ("theirs", "faults"),
    [
        (_edgeless, ()),
        (lambda rows: replace(_edgeless(rows), probability=_edgeless(rows).probability + 0.9e-5), ()),
        (
            lambda rows: replace(_edgeless(rows), probability=_edgeless(rows).probability - 1.1e-5),
            ("it differs by 1.1e-05 from the model the library gives when trained again (limit 1e-05)",),
        ),
        (
            lambda rows: replace(_edgeless(rows), probability=np.where(np.isnan(rows[:, 0]), np.nan, 0.0)
                                 + np.where(np.isnan(rows[:, 0]), 0.0, _edgeless(rows).probability)),
            ("it differs by 0.0e+00 from the model the library gives when trained again (limit 1e-05)",),
        ),
    ],
)  # fmt: skip
def test_a_model_trained_again_answers_the_same(theirs: Callable[[Array], Answers], faults: tuple[str, ...]) -> None:
    verdict = running.check_parity(subject(_edgeless), _retrained(theirs))
    assert verdict.faults == faults
    assert verdict.figures["rows"] == ROWS
    assert verdict.sentence.startswith("Trained again with the library and compared over 1,040 rows, with missing ")


def test_too_few_rows_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LEAST_ROWS", ROWS)
    assert running.check_parity(subject(_edgeless), _retrained(_edgeless)).faults == ()
    monkeypatch.setattr(running, "LEAST_ROWS", ROWS + 1)
    assert running.check_parity(subject(_edgeless), _retrained(_edgeless)).faults == ("only 1040 rows were compared",)


@for_rows(
    ("facts", "sentence", "faults"),
    [
        ({}, "Training again gives the same file to the bit.", ()),
        ({"same_file": False, "auroc_difference": 0.0019}, (
            "Another file, the same model: AUROC differs by 0.0019."
        ), ()),
        ({"same_file": False, "auroc_difference": 0.002}, "", (
            "training again gives another model: AUROC differs by 0.0020 (limit 0.002)",
        )),
        ({"same_data": False}, "", ("the table is not the one it was trained from (sha256)",)),
        ({"differences": ("a is 1", "b is 2")}, "", (
            "the manifest does not say what training gives: a is 1; b is 2",
        )),
    ],
)  # fmt: skip
def test_training_again(facts: dict[str, Any], sentence: str, faults: tuple[str, ...]) -> None:
    verdict = running.check_reproducible(subject(), _retrained(trained="on a day", **facts))
    figures = {
        "same_file": facts.get("same_file", True),
        "auroc_difference": facts.get("auroc_difference", 0.0),
        "trained": "on a day",
    }
    assert verdict == Verdict(sentence, faults, figures)


def test_what_was_not_trained_again() -> None:
    for check in (running.check_parity, running.check_reproducible):
        with pytest.raises(NotRun) as reason:
            check(subject(), NOTHING)
        assert str(reason.value) == "It was not trained again: the table it was trained from is not here."


def test_the_same_rows_are_run_three_times_and_in_batches() -> None:
    counts: list[int] = []

    def answers(rows: Array) -> Answers:
        counts.append(len(rows))
        return linear(rows)

    assert running.check_determinism(subject(answers), NOTHING) == Verdict(
        "Bit-equal over 3 runs and in batches of 1, 7, 64 and 256.", ()
    )
    assert counts == [256] * 3 + [1] * 256 + [7] * 36 + [4] + [64] * 4


@pytest.mark.parametrize(
    ("wrong", "faults"),
    [(2, ("run 2 of the same rows gave other probability",)), (3, ("run 3 of the same rows gave other probability",))],
)
def test_a_run_that_differs_is_named(wrong: int, faults: tuple[str, ...]) -> None:
    runs: list[int] = []

    def answers(rows: Array) -> Answers:
        runs.append(len(rows))
        return _moved(1e-9 if len(runs) == wrong else 0.0)(rows)

    assert running.check_determinism(subject(answers), NOTHING).faults == faults


def test_a_batch_that_differs_is_named() -> None:
    def answers(rows: Array) -> Answers:
        return _moved(1e-9 if len(rows) == 7 else 0.0)(rows)

    assert running.check_determinism(subject(answers), NOTHING).faults == (
        "in batches of 7 the probability differ from those of one batch",
    )


def _clock(*seconds: Callable[[int], float]) -> Callable[[], float]:
    """A clock by which call n of measurement m takes seconds[m](n), the last of them for all further ones."""

    def ticks() -> Iterator[float]:
        now, call = 0.0, 0
        while True:
            yield now
            now += seconds[min(call // 1000, len(seconds) - 1)](call % 1000)
            yield now
            call += 1

    ticking = ticks()
    return lambda: next(ticking)


def _latency(*seconds: Callable[[int], float]) -> tuple[Verdict, int]:
    calls: list[int] = []

    def answers(rows: Array) -> Answers:
        calls.append(len(rows))
        return linear(rows)

    verdict = running.check_latency(subject(answers), replace(NOTHING, timer=_clock(*seconds)))
    assert set(calls) == {1}
    return verdict, len(calls) - 1


def _even(microseconds: float) -> Callable[[int], float]:
    return lambda _call: microseconds * 1e-6


def _ramp(call: int) -> float:
    """From 0.1 µs in steps of 0.1 µs: the median of 1,000 is that of place 500, p99 that of place 990."""
    return (call + 1) * 1e-7


def test_the_median_and_the_slowest_hundredth_of_a_thousand_calls() -> None:
    verdict, calls = _latency(_ramp)
    assert verdict.figures == {
        "p50_microseconds": pytest.approx(50.1, abs=0.051),
        "p99_microseconds": pytest.approx(99.1, abs=0.051),
    }
    assert verdict.sentence == "p50 50 µs, p99 99 µs for one row with everything it answers."
    assert (verdict.faults, calls) == ((), 1000)


@for_rows(
    ("seconds", "p99", "faults", "measured"),
    [
        ((_even(490),), 490, (), 1),
        ((_even(510), _even(490)), 490, (), 2),
        ((_even(900), _even(800), _even(950)), 800, (), 5),
        ((_even(990), _even(1100)), 990, (), 5),
        ((_even(1010),), 1010, ("p99 is 1.01 ms, the limit is 1 ms",), 1),
        ((lambda call: 3e-3 if call % 20 == 0 else 1e-4,), 3000, ("p99 is 3.00 ms, the limit is 1 ms",), 5),
    ],
)
def test_the_best_of_up_to_five_measurements_counts(
    seconds: tuple[Callable[[int], float], ...], p99: float, faults: tuple[str, ...], measured: int
) -> None:
    """It stops at half the limit, and where the median is beyond it."""
    verdict, calls = _latency(*seconds)
    assert verdict.figures["p99_microseconds"] == pytest.approx(p99, abs=0.1)
    assert verdict.faults == faults
    assert calls == 1000 * measured


@pytest.mark.parametrize(("microseconds", "calls"), [(1990.0, 1000), (2010.0, 50), (50_000.0, 50)])
def test_a_model_that_takes_milliseconds_has_shown_it_after_fifty_calls(microseconds: float, calls: int) -> None:
    rows = np.zeros((1000, 3), dtype=np.float32)
    asked: list[int] = []

    def answers(rows: Array) -> Answers:
        asked.append(len(rows))
        return linear(rows)

    p50, p99 = running._measure(subject(answers), replace(NOTHING, timer=_clock(_even(microseconds))), rows)
    assert (p50, p99) == pytest.approx((microseconds * 1e-6, microseconds * 1e-6))
    assert len(asked) == calls


def _rate(value: float, half: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def test_groups_alike_fail_by_chance_in_at_most_one_of_twenty_models() -> None:
    for design in DESIGNS[:4]:
        assert share_failed(design, 150) <= fairness.BY_CHANCE + 0.03, design.words


def test_harm_to_one_group_or_to_every_small_one_is_found() -> None:
    for design in DESIGNS[4:]:
        assert share_failed(design, 40) >= 0.9, design.words


@for_rows(
    ("last", "setting", "words"),
    [
        (2006, "outpatient", []),
        (2005, "outpatient", ["its newest data are of 2005, 21 years ago (limit 20)"]),
        (None, "discharge", ["the card does not say from which year the newest data are"]),
        ("2020", "population", ["the card does not say from which year the newest data are"]),
        (2020, "intensive care", ["its population is intensive care"]),
        (2020, None, ["its population is not said"]),
    ],
)
def test_how_old_the_data_may_be_and_of_which_people(last: Any, setting: Any, words: list[str]) -> None:
    manifest = SimpleNamespace(population=SimpleNamespace(age_low=18, words="adults"))
    product = {"data_last_year": last, "setting": setting}
    faults = inputs.check_population(subject(manifest=manifest, product=product), NOTHING).faults
    assert len(faults) == len(words)
    assert all(fault.startswith(expected) for fault, expected in zip(faults, words, strict=True))


def test_net_benefit_counts_alerts_with_and_without_an_event_at_the_threshold() -> None:
    y, one = np.array([1, 1, 0, 0, 0]), np.ones(5)
    # two alerts, one of them right: (1 - 1 * 1) / 5; all: (2 - 3) / 5; only the right ones: 2 / 5
    for margin, benefit in (([1, -1, 1, -1, -1], 0.0), ([1, 1, 1, 1, 1], -0.2), ([0, 0, -1, -1, -1], 0.4)):
        assert net_benefit(np.array(margin, dtype=float), y, one, 0.0, 1.0) == pytest.approx(benefit)
    assert net_benefit(one, y, one, float(np.log(0.25)), 0.25) == pytest.approx((2 - 0.25 * 3) / 5)


@for_rows(
    ("gap", "axes", "is_covered"),
    [("0.11", ["sex"], True), ("0.12", ["sex"], True), ("0.13", ["sex"], False), ("0.11", ["age"], False)],
)
def test_a_waiver_covers_a_gap_up_to_its_own_size_and_only_its_axes(
    gap: str, axes: list[str], *, is_covered: bool
) -> None:
    waiver = {"covers": axes, "at_most": 0.12}
    assert _covers(waiver, (f"sex: men and women differ by {gap} in sensitivity",)) is is_covered
    assert not _covers(waiver | {"at_most": "0.2"}, (f"sex: men and women differ by {gap}",))
    assert not _covers(waiver, ("sex: the figures are missing",))


@pytest.mark.parametrize(("words", "is_enough"), [(19, False), (20, True)])
def test_the_reason_of_a_waiver_has_twenty_different_words_and_a_figure(words: int, *, is_enough: bool) -> None:
    letters = "abcdefghijklmnopqrst"
    reason = " ".join(f"word{letter}" for letter in letters[:words])
    problem = waiver_problem({"reason": f"{reason} 12", "by": ""})
    assert ("different words" not in str(problem)) is is_enough
    assert "different words" in str(waiver_problem({"reason": reason, "by": ""}))


@for_rows(
    ("granted", "expires", "is_in_force"),
    [
        ("2026-11-20", "2026-11-21", True),
        ("2026-11-21", "2027-11-21", False),
        ("2026-01-01", "2026-11-20", False),
        ("2026-01-01", "2027-01-02", True),
        ("2026-01-01", "2027-01-03", False),
        ("soon", "2027-01-01", False),
        ("2026-01-01", None, False),
    ],
)
def test_a_waiver_holds_from_its_first_day_to_the_one_before_its_end_for_a_leap_year_at_most(
    granted: str, expires: str | None, *, is_in_force: bool
) -> None:
    assert _in_force({"granted": granted, "expires": expires}, date(2026, 11, 20)) is is_in_force
    assert _in_force({"granted": granted}, date(2026, 11, 20)) is False


def test_small_groups_together_have_the_mean_of_their_people_and_the_variance_of_it() -> None:
    """Sensitivity is of those with the event, the rate of false positives of those without."""
    small = [
        {"n": 100, "events": 30, "sensitivity": _rate(0.5, 0.2), "false_positive_rate": _rate(0.2, 0.1)},
        {"n": 40, "events": 10, "sensitivity": _rate(0.9, 0.4), "false_positive_rate": _rate(0.6, 0.2)},
    ]
    together = fairness._together(small, "sensitivity")["sensitivity"]
    assert together["value"] == pytest.approx((30 * 0.5 + 10 * 0.9) / 40)
    half = ((30 * 0.2) ** 2 + (10 * 0.4) ** 2) ** 0.5 / 40
    assert (together["low"], together["high"]) == pytest.approx((0.6 - half, 0.6 + half))
    assert fairness._together(small, "false_positive_rate")["false_positive_rate"]["value"] == pytest.approx(
        (70 * 0.2 + 30 * 0.6) / 100
    )
