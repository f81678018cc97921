"""What is found on mature labels: planted faults are, clean windows raise no alarm, and too few are insufficient."""

from collections.abc import Callable

import numpy as np
import pytest

from models_onnx.monitoring.alerting import Deployed
from models_onnx.monitoring.figure import Figure, incidents
from models_onnx.monitoring.label_judging import ModelWindow, Released
from models_onnx.monitoring.performance import Sample

MODEL = "readmission@1"
Truth = Callable[[np.ndarray, np.ndarray], np.ndarray]
Labels = tuple[Sample, dict[str, np.ndarray]]


def right(odds: np.ndarray, _women: np.ndarray) -> np.ndarray:
    """The estimates are right."""
    return odds


def labels(
    seed: int, people: int = 4000, truth: Truth = right, threshold: float = -1.0, unlabelled: float = 0.0,
    *, cards_for_women: bool = True,
) -> Labels:  # fmt: skip
    """Mature predictions of as many women as men, who are as ill; the log-odds of the truth are `truth` of theirs."""
    random = np.random.default_rng(seed)
    odds, women = random.normal(-1.8, 1.0, people), random.random(people) < 0.5
    happened = (random.random(people) < 1 / (1 + np.exp(-truth(odds, women)))).astype(float)
    happened[random.random(people) < unlabelled] = np.nan
    shown = (odds > threshold) & (cards_for_women | ~women)
    return Sample(1 / (1 + np.exp(-odds)), happened, shown), {"women": women, "men": ~women}


def window(now: Labels, released: Released) -> ModelWindow:
    recent = now[0].estimates
    return ModelWindow("ehr", "follow-up", MODEL, "predictions of May", *now, labels(99)[0], recent, released)


def figures(now: Labels, area: float | None = 0.73) -> list[Figure]:
    return list(window(now, Released(area)).figures())


def acting(found: list[Figure]) -> set[tuple[str, str]]:
    return {(each.family, each.subject) for each in found if each.state == "act"}


@pytest.mark.slow
def test_thirty_clean_windows_raise_no_alarm() -> None:
    for seed in range(30):
        assert acting(figures(labels(seed))) == set()


def _benefit(now: Labels, deployed: Deployed) -> Figure:
    every = window(now, Released(deployed=deployed)).figures()
    (found,) = (each for each in every if each.subject == f"{MODEL}, net benefit")
    return found


def test_cards_that_cost_more_than_they_find_are_to_act_on() -> None:
    useless = labels(4, truth=lambda odds, _: odds * 0 - 4.0)
    assert _benefit(useless, Deployed(0.25, 0.25)).state == "act"
    assert _benefit(labels(4, people=100), Deployed(0.9, 0.25)).state == "insufficient"


def test_a_model_that_is_wrong_in_every_way_is_one_incident() -> None:
    (incident,) = incidents(figures(labels(2, truth=lambda odds, _: 0.3 * odds - 2.0)))
    assert incident.family == "calibration"
    assert f"{MODEL}, area under the curve" in {each.subject for each in incident.causes}
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


def test_a_group_that_is_wrong_alone_is_the_cause_and_the_average_follows() -> None:
    def twice_for_women(odds: np.ndarray, women: np.ndarray) -> np.ndarray:
        return odds + women * 1.0

    (incident,) = incidents(figures(labels(5, truth=twice_for_women)))
    assert incident.family == "fairness"
    assert incident.causes[0].subject == f"{MODEL}, women"
    assert f"{MODEL}, observed to expected" in {each.subject for each in incident.follows}


def test_too_many_without_an_outcome_say_nothing_of_the_others() -> None:
    found = [each for each in figures(labels(7, unlabelled=0.2)) if "expected" not in each.subject]
    assert {(each.state, each.subject) for each in found} == {("insufficient", f"{MODEL}, outcomes")}
