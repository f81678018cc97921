"""Figures of inputs that only some windows have: a flag's level, values of another unit, sexes that are exchanged."""

from datetime import date, timedelta

from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import Figure
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.sketch import bucket_of

MONDAY = date(2026, 9, 28)
Values = dict[float, int]


def day_of(name: str, values: Values) -> DayCounts:
    """A day with so many of each value of an input."""
    return DayCounts(
        calls=sum(values.values()), features={name: {bucket_of(value): times for value, times in values.items()}}
    )


def figures_of(window: DayCounts, before: DayCounts) -> dict[tuple[str, str], Figure]:
    """The figures of a Monday after four weeks of days that were all alike."""
    reference = {MONDAY - timedelta(days=back): before for back in range(1, 29)}
    figures = Compared("ehr", "follow-up", {MONDAY: window}, reference).figures()
    return {(figure.family, figure.subject): figure for figure in figures}


def test_the_level_of_a_flag_is_watched_from_five_points_on_and_acted_on_from_ten() -> None:
    def flag(yes: int) -> Figure:
        window, before = day_of("flag", {0.0: 1000 - yes, 1.0: yes}), day_of("flag", {0.0: 70, 1.0: 30})
        return figures_of(window, before)[("input drift", "flag")]

    states = {200: "act", 201: "watch", 250: "watch", 251: "good", 349: "good", 350: "watch", 399: "watch", 400: "act"}
    assert {yes: flag(yes).state for yes in states} == states
    text = "follow-up: 40.0 in 100 values of flag are above 0, 30.0 before."
    assert flag(400) == Figure("ehr", "follow-up", "input drift", "flag", "act", 1000, 500, 0.4, 0.3, text)
    good = flag(300)
    assert good == Figure(
        "ehr", "follow-up", "input drift", "flag", "good", 1000, 500, good.value, 0.0,
        "follow-up: flag is distributed as before (stability index 0.00).",
    )  # fmt: skip


def by_sex(times: int, exchanged: int) -> DayCounts:
    """So many men with 2.0 and women with 1.0 mg/dL creatinine, of whom some of each are exchanged."""
    name, low, high = "creatinine_mg_dl", bucket_of(1.0), bucket_of(2.0)
    day = day_of("sex_male", {0.0: times, 1.0: times})
    day.by_sex = {
        f"{name} men": {high: times - exchanged, low: exchanged},
        f"{name} women": {low: times - exchanged, high: exchanged},
    }
    return day


def test_sexes_that_are_exchanged_in_a_part_of_the_calls() -> None:
    def exchanged(share: int, times: int = 100) -> Figure:
        found = figures_of(by_sex(times, share), by_sex(10, 0))
        return found[("input drift", "sex_male by creatinine_mg_dl")]

    states = {0: "good", 9: "good", 11: "watch", 24: "watch", 25: "act", 100: "act"}
    assert {share: exchanged(share).state for share in states} == states
    subject = "sex_male by creatinine_mg_dl"
    assert exchanged(25) == Figure(
        "ehr", "follow-up", "input drift", subject, "act", 100, 100, 0.25, 0.0,
        "follow-up: women and men do not differ in creatinine_mg_dl as before, as if they were exchanged in 25 of 100 "
        "calls.",
    )  # fmt: skip
    assert exchanged(0) == Figure(
        "ehr", "follow-up", "input drift", subject, "good", 100, 100, 0.0, 0.0,
        "follow-up: women and men differ in creatinine_mg_dl as before.",
    )  # fmt: skip
    assert exchanged(0, 99) == Figure(
        "ehr", "follow-up", "input drift", subject, "insufficient", 99, 100, None, None,
        f"follow-up, {subject}: 99 counted, 100 are needed.",
    )  # fmt: skip


def test_needs_of_days_add_up_and_the_days_keep_their_own() -> None:
    one = DayCounts(needs={"all": {3: [1.0, 2.0, 4.0]}})
    other = DayCounts(needs={"all": {3: [2.0, 5.0, 13.0], 4: [1.0, 1.0, 1.0]}, "men": {3: [1.0, 9.0, 81.0]}})
    one.add(other)
    assert one.needs == {
        "all": {3: [3.0, 7.0, 17.0], 4: [1.0, 1.0, 1.0]}, "men": {3: [1.0, 9.0, 81.0]},
    }  # fmt: skip
    one.needs["men"][3][0] = 7.0
    assert other.needs["men"] == {3: [1.0, 9.0, 81.0]}
