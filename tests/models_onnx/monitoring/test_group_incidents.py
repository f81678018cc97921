"""An incident about one group of patients is headed by that group; race and ethnicity need not be inputs."""

from models_onnx.monitoring.day import groups_of
from models_onnx.monitoring.figure import Family, Figure, State, incidents


def figure(family: Family, subject: str, state: State) -> Figure:
    return Figure("north", "planning", family, subject, state, 100, 50, 1.0, 1.0, f"{subject}: told.")


OVERALL = figure("calibration", "m@1, observed to expected", "act")
WOMEN = figure("fairness", "m@1, women", "act")


def test_a_group_for_whom_it_is_wrong_heads_the_incident_where_it_is_right_for_another() -> None:
    (incident,) = incidents([OVERALL, WOMEN, figure("fairness", "m@1, men", "good")])
    assert incident.family == "fairness"
    assert incident.text.startswith("north: m@1, women: told.")
    assert incident.follows == (OVERALL,)


def test_what_is_wrong_for_everybody_is_headed_by_the_average_of_all() -> None:
    for others in ([figure("fairness", "m@1, men", "act")], [], [figure("fairness", "m@2, men", "good")]):
        (incident,) = incidents([OVERALL, WOMEN, *others])
        assert incident.family == "calibration"


def test_race_and_ethnicity_are_groups_where_the_record_has_them_and_are_counted_once() -> None:
    recorded = ("race Asian", "ethnicity Hispanic or Latino")
    assert groups_of({"sex_male": 1}, recorded)[2:] == recorded
    assert groups_of({"race_Asian": 1}, ("race Asian",)).count("race Asian") == 1
