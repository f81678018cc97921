"""What is found on mature labels: planted faults are, clean windows raise no alarm, and too few are insufficient."""

from collections.abc import Callable

import numpy as np
import pytest

from models_onnx.monitoring.day import DayCounts, count_need
from models_onnx.monitoring.figure import Figure, incidents
from models_onnx.monitoring.label_judging import LabelWindow, label_choice
from models_onnx.monitoring.labelled import LabelCounts, pack, summed, unpack, unpack_cells, with_labels_assumed
from models_onnx.monitoring.performance import Deployed

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


@pytest.mark.parametrize(
    ("truth", "family", "subject"),
    [
        (lambda odds, _: odds - 0.7, "calibration", f"{MODEL}, observed to expected"),
        (lambda odds, _: odds + 0.7, "calibration", f"{MODEL}, observed to expected"),
        (lambda odds, _: 0.5 * odds - 0.8, "calibration", f"{MODEL}, calibration slope"),
        (lambda odds, _: 0.3 * odds - 1.1, "discrimination", f"{MODEL}, area under the curve"),
        (lambda odds, women: odds - 1.0 * women, "fairness", f"{MODEL}, women"),
    ],
)
def test_a_model_that_went_wrong_is_found_in_its_window(truth: Truth, family: str, subject: str) -> None:
    assert (family, subject) in acting(figures(labels(1, truth=truth)))


def _benefit(now: LabelCounts, deployed: Deployed) -> Figure:
    window = LabelWindow("ehr", "follow-up", "predictions of May", now, labels(99), {}, {"readmission": deployed})
    (found,) = (each for each in window.figures() if each.subject == f"{MODEL}, net benefit")
    return found


def test_the_net_benefit_is_that_of_the_rows_themselves() -> None:
    counts = LabelCounts()
    for estimate, events, others in ((0.1, 1, 99), (0.3, 30, 70), (0.6, 60, 40)):
        counts.count(f"{MODEL} all", estimate, "yes", with_card=False, times=events)
        counts.count(f"{MODEL} all", estimate, "no", with_card=True, times=others)
    found = _benefit(counts, Deployed(0.25, 0.25, 0.2))
    assert found.value == pytest.approx((90 - 0.25 * 110) / 300)
    assert (found.n, found.before, found.state) == (200, 0.2, "good")


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


def test_cards_that_miss_those_with_the_event_are_found() -> None:
    found = acting(figures(labels(4, threshold=1.5), before=labels(5)))
    assert ("discrimination", f"{MODEL}, cards among those with the event") in found


def test_no_event_where_many_were_expected_is_said() -> None:
    found = figures(labels(6, truth=lambda odds, _: odds - 50))
    (ratio,) = (each for each in found if each.subject == f"{MODEL}, observed to expected")
    assert (ratio.state, ratio.value) == ("act", 0.0)


def test_too_few_events_are_insufficient_and_never_good() -> None:
    found = figures(labels(7, 100), before=LabelCounts())
    assert {each.state for each in found} == {"insufficient"}
    assert all(each.value is None for each in found)


def test_predictions_without_an_outcome_are_not_taken_for_right_ones() -> None:
    (figure,) = figures(labels(8, unlabelled=0.3))
    assert (figure.state, figure.family) == ("insufficient", "calibration")
    assert "have no outcome" in figure.text
    complete = summed([with_labels_assumed(unpack_cells(pack(labels(8, unlabelled=0.3))))])
    assert len(figures(complete)) > 1, "the client says that it has sent all"


def test_a_label_can_be_taken_out_again() -> None:
    counts = LabelCounts()
    counts.count("m all", 0.2, "unlabelled", with_card=True)
    counts.count("m all", 0.2, "unlabelled", with_card=True, times=-1)
    counts.count("m all", 0.2, "yes", with_card=True)
    ((row,),) = [list(buckets.values()) for buckets in counts.cells.values()]
    assert row == [1, 0, 0, 0, 0, 0]


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
