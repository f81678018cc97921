"""What is found on mature labels: planted faults are, clean windows raise no alarm, and too few are insufficient."""

from collections.abc import Callable

import numpy as np
import pytest

from models_onnx.monitoring import label_judging
from models_onnx.monitoring.day import DayCounts, count_need
from models_onnx.monitoring.figure import Figure, incidents
from models_onnx.monitoring.label_judging import LabelWindow, label_choice
from models_onnx.monitoring.labelled import LabelCounts, pack, summed, unpack, unpack_cells, with_labels_assumed
from models_onnx.monitoring.performance import Deployed
from models_onnx.monitoring.rates import Interval

MODEL = "readmission@1"
Truth = Callable[[np.ndarray, np.ndarray], np.ndarray]


def right(odds: np.ndarray, _women: np.ndarray) -> np.ndarray:
    """The estimates are right."""
    return odds


def labels(
    seed: int, people: int = 4000, truth: Truth = right, threshold: float = -1.0, unlabelled: float = 0.0,
    *, cards_for_women: bool = True,
) -> LabelCounts:  # fmt: skip
    """Mature predictions of as many women as men, who are as ill; the log-odds of the truth are `truth` of theirs."""
    random, counts = np.random.default_rng(seed), LabelCounts()
    odds, women = random.normal(-1.8, 1.0, people), random.random(people) < 0.5
    happened = random.random(people) < 1 / (1 + np.exp(-truth(odds, women)))
    known = random.random(people) >= unlabelled
    for one, woman, event, is_known in zip(odds, women, happened, known, strict=True):
        shown = bool(one > threshold and (cards_for_women or not woman))
        said = ("yes" if event else "no") if is_known else "unlabelled"
        for group in ("all", "women" if woman else "men"):
            counts.count(f"{MODEL} {group}", float(1 / (1 + np.exp(-one))), said, with_card=shown)  # type: ignore[arg-type]
    return counts


def figures(now: LabelCounts, before: LabelCounts | None = None, area: float | None = 0.73) -> list[Figure]:
    areas = {} if area is None else {"readmission": area}
    before = labels(99) if before is None else before
    return list(LabelWindow("ehr", "follow-up", "predictions of May", now, before, areas).figures())


def acting(found: list[Figure]) -> set[tuple[str, str]]:
    return {(each.family, each.subject) for each in found if each.state == "act"}


@pytest.mark.slow
def test_thirty_clean_windows_raise_no_alarm() -> None:
    for seed in range(30):
        assert acting(figures(labels(seed))) == set()


def _benefit(now: LabelCounts, deployed: Deployed) -> Figure:
    window = LabelWindow("ehr", "follow-up", "predictions of May", now, labels(99), {}, {"readmission": deployed})
    (found,) = (each for each in window.figures() if each.subject == f"{MODEL}, net benefit")
    return found


def test_cards_that_cost_more_than_they_find_are_to_act_on() -> None:
    useless = labels(4, truth=lambda odds, _: odds * 0 - 4.0)
    assert _benefit(useless, Deployed(0.25, 0.25)).state == "act"
    assert _benefit(labels(4, people=100), Deployed(0.9, 0.25)).state == "insufficient"


def test_packed_counts_are_read_back_and_added_up_as_they_were() -> None:
    one, other = labels(1, people=300, unlabelled=0.2), labels(2, people=300)
    assert unpack(pack(one)) == one
    together = summed([unpack_cells(pack(each)) for each in (one, other)])
    one.add(other)
    assert together == one
    assert unpack(pack(LabelCounts())) == LabelCounts() == summed([])


def test_a_model_that_is_wrong_in_every_way_is_one_incident() -> None:
    (incident,) = incidents(figures(labels(2, truth=lambda odds, _: 0.3 * odds - 2.0)))
    assert incident.family == "calibration"
    assert "discrimination" in {each.family for each in incident.follows}
    assert "predictions of May" in incident.text


def test_women_who_get_no_card_are_a_gap_between_the_sexes() -> None:
    found = figures(labels(3, cards_for_women=False))
    assert ("fairness", f"{MODEL}, sex, cards among those with the event") in acting(found)
    (rate,) = (each for each in found if each.subject == f"{MODEL}, sex, cards")
    assert rate.state == "watch", "that fewer of a group get a card is not a fault by itself"


def test_no_event_where_many_were_expected_is_said() -> None:
    found = figures(labels(6, truth=lambda odds, _: odds - 50))
    (ratio,) = (each for each in found if each.subject == f"{MODEL}, observed to expected")
    assert (ratio.state, ratio.value) == ("act", 0.0)


def test_predictions_without_an_outcome_are_not_taken_for_right_ones() -> None:
    (figure,) = figures(labels(8, unlabelled=0.3))
    assert (figure.state, figure.family) == ("insufficient", "calibration")
    assert "have no outcome" in figure.text
    complete = summed([with_labels_assumed(unpack_cells(pack(labels(8, unlabelled=0.3))))])
    assert len(figures(complete)) > 1, "the client says that it has sent all"


@pytest.mark.parametrize(("times", "state"), [(1.0, "good"), (1.5, "watch")])
def test_the_label_choice_is_audited_by_need_at_the_same_estimate(times: float, state: str) -> None:
    random, day = np.random.default_rng(9), DayCounts()
    for group, mean in (("women", 2.0 * times), ("men", 2.0)):
        for _ in range(800):
            count_need(day.needs, f"{MODEL} {group}", int(random.integers(-8, 0)), float(random.poisson(mean)))
    (figure,) = label_choice("ehr", "follow-up", day)
    assert (figure.state, figure.n > 500) == (state, True)
    (few,) = label_choice("ehr", "follow-up", DayCounts(needs={f"{MODEL} women": {1: [3, 6, 14]}}))
    assert (few.state, few.value) == ("insufficient", None)


# Figures on outcomes at the limits of docs/operations/monitoring.md, which are written here once more.
Counts = dict[str, tuple[int, int, int, int]]
"""By group: with the event and a card, with the event, without it and with a card, without both."""


def _counts(of: Counts, unlabelled: int = 0) -> LabelCounts:
    counts = LabelCounts()
    for group, (caught, missed, false, right) in of.items():
        for label, with_card, times in (("yes", 1, caught), ("yes", 0, missed), ("no", 1, false), ("no", 0, right)):
            if times:
                counts.count(f"{MODEL} {group}", 0.5, label, with_card=bool(with_card), times=times)  # type: ignore[arg-type]
        if unlabelled:
            counts.count(f"{MODEL} {group}", 0.5, "unlabelled", with_card=False, times=unlabelled)
    return counts


def _figures(now: LabelCounts, before: LabelCounts | None = None, area: float = 0.8) -> dict[str, Figure]:
    deployed = {"readmission": Deployed(0.4, 0.25)}
    window = LabelWindow("ehr", "s", "of May", now, before or LabelCounts(), {"readmission": area}, deployed)
    return {figure.subject.removeprefix(f"{MODEL}, "): figure for figure in window.figures()}


MANY = {"all": (150, 150, 150, 150)}


@pytest.mark.parametrize(
    ("low", "high", "slope", "observed"),
    [
        (0.9, 1.1, "good", "good"),
        (0.5, 0.9, "good", "good"),
        (0.85, 0.899, "watch", "watch"),
        (0.7, 0.8, "watch", "watch"),
        (0.7, 0.799, "act", "act"),
        (1.1, 1.5, "good", "good"),
        (1.101, 1.5, "watch", "watch"),
        (1.2, 1.5, "watch", "watch"),
        (1.201, 1.5, "act", "watch"),
        (1.25, 1.5, "act", "watch"),
        (1.251, 1.5, "act", "act"),
    ],
)
def test_slope_and_observed_to_expected_are_judged_by_their_whole_interval(
    low: float, high: float, slope: str, observed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    interval = Interval((low + high) / 2, low, high)
    monkeypatch.setattr(label_judging, "calibration_slope", lambda _: interval)
    monkeypatch.setattr(label_judging, "observed_to_expected", lambda *_: interval)
    figures = _figures(_counts(MANY))
    assert (figures["calibration slope"].state, figures["observed to expected"].state) == (slope, observed)


@pytest.mark.parametrize(
    ("value", "high", "state"),
    [
        (0.75, 0.80, "good"),
        (0.781, 0.79, "good"),
        (0.779, 0.79, "watch"),
        (0.75, 0.771, "watch"),
        (0.75, 0.769, "act"),
        (0.85, 0.90, "good"),
    ],
)
def test_the_area_is_judged_against_that_of_the_release(
    value: float, high: float, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_judging, "area_under_curve", lambda _: Interval(value, 0.5, high))
    assert _figures(_counts(MANY), area=0.8)["area under the curve"].state == state


@pytest.mark.parametrize(
    ("subject", "fewest", "enough", "too_few"),
    [
        ("observed to expected", 50, {"all": (20, 30, 20, 30)}, {"all": (20, 29, 20, 29)}),
        ("calibration slope", 100, {"all": (50, 50, 50, 50)}, {"all": (50, 49, 50, 50)}),
        ("area under the curve", 100, {"all": (50, 50, 50, 50)}, {"all": (50, 49, 50, 50)}),
        ("net benefit", 50, {"all": (20, 5, 20, 5)}, {"all": (20, 5, 20, 4)}),
    ],
)
def test_one_below_the_fewest_nothing_is_said(
    subject: str, fewest: int, enough: Counts, too_few: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_judging, "calibration_slope", lambda _: Interval(1.0, 0.9, 1.1))
    few = _figures(_counts(too_few))[subject]
    assert _figures(_counts(enough))[subject].state != "insufficient"
    assert (few.state, few.n, few.minimum, few.value) == ("insufficient", fewest - 1, fewest, None)


@pytest.mark.parametrize(("unlabelled", "is_judged"), [(5, True), (6, False)])
def test_more_than_five_in_a_hundred_without_an_outcome_make_all_figures_insufficient(
    unlabelled: int, is_judged: bool
) -> None:
    figures = _figures(_counts({"all": (50, 0, 0, 100 - 50 - unlabelled)}, unlabelled))
    assert ("observed to expected" in figures) is is_judged
    assert is_judged or {figure.state for figure in figures.values()} == {"insufficient"}


@pytest.mark.parametrize(
    ("low", "high", "state"), [(0.9, 1.1, "good"), (0.8, 0.899, "watch"), (1.101, 1.2, "watch"), (3.0, 4.0, "watch")]
)
def test_the_choice_of_the_label_is_never_more_than_watched(
    low: float, high: float, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_judging, "ratio_at_equal_estimate", lambda *_: Interval((low + high) / 2, low, high))
    for people, expected in ((500, state), (499, "insufficient")):
        counts = DayCounts()
        counts.needs = {f"{MODEL} women": {1: [people, 0.0, 0.0]}, f"{MODEL} men": {1: [600, 0.0, 0.0]}}
        (figure,) = label_choice("ehr", "s", counts)
        assert (figure.state, figure.n) == (expected, people)
