"""What is found on mature labels: planted faults are, clean windows raise no alarm, and too few are insufficient."""

from collections.abc import Callable

import numpy as np
import pytest

from models_onnx.monitoring.day import DayCounts, count_need
from models_onnx.monitoring.figure import Figure, incidents
from models_onnx.monitoring.label_judging import LabelWindow, label_choice
from models_onnx.monitoring.labelled import LabelCounts
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


def _benefit(now: LabelCounts, deployed: Deployed) -> Figure:
    window = LabelWindow("ehr", "follow-up", "predictions of May", now, labels(99), {}, {"readmission": deployed})
    (found,) = (each for each in window.figures() if each.subject == f"{MODEL}, net benefit")
    return found


def test_cards_that_cost_more_than_they_find_are_to_act_on() -> None:
    useless = labels(4, truth=lambda odds, _: odds * 0 - 4.0)
    assert _benefit(useless, Deployed(0.25, 0.25)).state == "act"
    assert _benefit(labels(4, people=100), Deployed(0.9, 0.25)).state == "insufficient"


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


"""By group: with the event and a card, with the event, without it and with a card, without both."""
