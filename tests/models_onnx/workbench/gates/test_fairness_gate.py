"""G9: the committed model passes by a waiver that ends, and a model made unfair on purpose fails, and says why."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from models_onnx.workbench.gates.subject import InputEvidence, Subject
from tests.models_onnx.workbench.gates.judging import Document, groups, judge, no_waivers
from tests.models_onnx.workshop import figured, subject


def test_g9_the_committed_model_passes_by_a_waiver_that_ends(good: Subject) -> None:
    result = judge(good, "G9", figured())
    assert result.status == "waived", result.why
    assert result.waiver is not None
    later = replace(figured(), as_of=date.fromisoformat(result.waiver["expires"]))
    assert judge(good, "G9", later).status == "failed"


def test_g9_a_group_with_too_few_events_is_insufficient_and_neither_clears_nor_accuses(tmp_path: Path) -> None:
    def few(document: Document) -> None:
        for group in document["evaluation"]["subgroups"]:
            group["events"] = 12
            group.get("latest", group)["events"] = 12

    result = judge(subject(tmp_path, card=no_waivers), "G9", figured(few))
    assert result.status == "insufficient"
    assert not result.green


def test_g9_an_axis_that_is_split_until_nothing_can_be_judged_by_it_fails(tmp_path: Path) -> None:
    def split(document: Document) -> None:
        found = document["evaluation"]["subgroups"]
        of_age = next(each for each in found if each["axis"].startswith("age"))
        found[:] = [each for each in found if each["axis"] != of_age["axis"]]
        found += [{**of_age, "group": str(age), "events": 30} for age in range(20)]

    result = judge(subject(tmp_path, card=no_waivers), "G9", figured(split))
    assert result.status == "failed"
    assert "600 of 600 events are in 20 groups of fewer than 50, by which nothing is judged" in result.why


def test_g9_without_figures_or_axes_is_not_run(tmp_path: Path) -> None:
    nothing = figured(lambda d: d["evaluation"].update(subgroups=[]))
    assert judge(subject(tmp_path / "a"), "G9", nothing).status == "not run"
    unnamed = subject(tmp_path / "b", card=lambda d: d["product"].update(fairness_axes={"language": "all"}))
    assert "no figures by language" in judge(unnamed, "G9", figured()).why


@pytest.mark.parametrize(
    "axes",
    [{"sex": "none"}, {"sex": "calibration"}, {"race and ethnicity (fairness only)": "none"}, {"age band": "none"}],
)
def test_g9_a_card_cannot_ask_less_of_sex_race_or_age(tmp_path: Path, axes: Document) -> None:
    bad = subject(tmp_path, card=lambda d: d["product"]["fairness_axes"].update(axes))
    assert "asks too little of it" in judge(bad, "G9", figured()).why
    (axis,) = axes
    gone = subject(tmp_path / "gone", card=lambda d: d["product"]["fairness_axes"].pop(axis))
    result = judge(gone, "G9", figured())
    assert result.status == "failed"
    assert f"{axis}: there are figures and the card does not name it" in result.why


def test_g9_a_group_smuggled_in_as_an_input_fails_and_no_waiver_covers_it(good: Subject) -> None:
    smuggled = InputEvidence(alone={}, smuggled=("takes_statin is read from race_ethnicity",), unnamed=("race",))
    result = judge(good, "G9", figured(inputs=smuggled))
    assert result.status == "failed"
    assert "takes_statin is read from race_ethnicity: a group is used as an input under another name" in result.why
    assert "race: the table has this column and there are no figures by it" in result.why


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reason": "Accepted by the team, 2026."}, "its reason has to say why"),
        ({"reason": "because " * 40 + "1"}, "its reason has to say why"),
        ({"by": " "}, "nobody is named who accepts it"),
        ({"covers": ["language"]}, ""),
        ({"covers": [""]}, ""),
        ({"covers": ["s", "r"]}, ""),
        ({"at_most": 0.11}, ""),
        ({"expires": "2036-01-01"}, ""),
        ({"expires": None}, ""),
        ({"gate": "G8"}, ""),
    ],
)
def test_g9_a_waiver_without_substance_or_end_does_not_help(tmp_path: Path, changes: Document, said: str) -> None:
    bad = subject(tmp_path, card=lambda card: card["product"]["waivers"][0].update(changes))
    result = judge(bad, "G9", figured())
    assert result.status == "failed"
    assert said in result.why


def test_g9_a_waiver_that_two_people_have_not_approved_does_not_help(good: Subject) -> None:
    result = judge(good, "G9", figured(waiver_fault=lambda _: "it lacks an approval"))
    assert result.status == "failed"
    assert "its waiver does not count: it lacks an approval" in result.why


def test_g9_only_a_difference_is_waived_never_estimates_that_are_wrong(good: Subject) -> None:
    wrong = {"value": 0.6, "low": 0.5, "high": 0.7}
    off = figured(lambda d: groups(d, "sex")[0]["latest"].update(observed_expected=wrong))
    assert judge(good, "G9", off).status == "failed"


def test_no_gate_but_fairness_can_be_waived(tmp_path: Path) -> None:
    def waive_everything(card: Document) -> None:
        waiver = card["product"]["waivers"][0]
        card["product"]["waivers"] = [{**waiver, "gate": f"G{number}", "covers": [""]} for number in range(1, 19)]

    bad = subject(tmp_path, manifest=lambda d: d["parity"].update(probability=1e-3), card=waive_everything)
    assert judge(bad, "G3").status == "failed"
