"""G9: the committed model passes by a waiver that ends, and a model made unfair on purpose fails, and says why."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models_onnx.artifact.keys import Signer
from models_onnx.workbench.gates.subject import InputEvidence, Subject, read_subject
from models_onnx.workbench.gates.waivers import _signed, sign_waiver
from tests.models_onnx.workbench.gates.judging import Document, groups, judge, no_waivers
from tests.models_onnx.workshop import (
    KEYS,
    NAME,
    SIGNER,
    STRANGER,
    build,
    figured,
    subject,
)


def test_g9_the_committed_model_passes_by_a_waiver_that_ends(good: Subject) -> None:
    result = judge(good, "G9", figured())
    assert result.status == "waived", result.why
    assert result.waiver is not None
    later = replace(figured(), as_of=date.fromisoformat(result.waiver["expires"]))
    assert judge(good, "G9", later).status == "failed"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda d: groups(d, "sex")[0].update(sensitivity={"value": 0.2, "low": 0.17, "high": 0.23}),
            "sensitivity of female (0.20) and male",
        ),
        (
            lambda d: groups(d, "sex")[0]["latest"].update(
                observed_expected={"value": 0.6, "low": 0.5, "high": 0.7}, events=400
            ),
            "observed/expected of female is 0.60 (0.50 to 0.70), outside 0.8 to 1.25",
        ),
        (
            lambda d: groups(d, "sex")[0].update(false_positive_rate={"value": 0.4, "low": 0.38, "high": 0.42}),
            "false positive rate of female (0.40) and male",
        ),
    ],
)
def test_g9_a_gap_between_groups_fails_and_names_them(
    tmp_path: Path, change: Callable[[Document], object], said: str
) -> None:
    result = judge(subject(tmp_path, card=no_waivers), "G9", figured(change))
    assert result.status == "failed"
    assert said in result.why


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


def signed_again(signer: Signer, **changes: Any) -> Callable[[Document], object]:
    """The committed waiver with changes, signed by this key."""

    def edit(card: Document) -> None:
        version = card["model"]["version"]
        changed = {**card["product"]["waivers"][0], **changes}
        card["product"]["waivers"] = [sign_waiver(changed, NAME, version, signer)]

    return edit


OWNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34))), "an owner")
TRUSTED = {**KEYS, OWNER.public.id: OWNER.public}


def test_g9_a_waiver_signed_by_another_trusted_key_counts(tmp_path: Path) -> None:
    home = build(tmp_path, card=signed_again(OWNER))
    assert judge(read_subject(home, TRUSTED), "G9", figured()).status == "waived"


@pytest.mark.parametrize(
    ("signer", "changes", "said"),
    [
        (SIGNER, {}, "signed with the key of the release"),
        (STRANGER, {}, "not signed by a key that is trusted here"),
        (OWNER, {"reason": "Accepted by the team, 2026."}, "its reason has to say why"),
        (OWNER, {"reason": "because " * 40 + "1"}, "its reason has to say why"),
        (OWNER, {"by": " "}, "nobody is named who accepts it"),
        (OWNER, {"covers": ["language"]}, ""),
        (OWNER, {"covers": [""]}, ""),
        (OWNER, {"covers": ["s", "r"]}, ""),
        (OWNER, {"at_most": 0.11}, ""),
        (OWNER, {"expires": "2036-01-01"}, ""),
        (OWNER, {"expires": None}, ""),
        (OWNER, {"gate": "G8"}, ""),
    ],
)
def test_g9_a_waiver_without_substance_end_or_another_persons_key_does_not_help(
    tmp_path: Path, signer: Signer, changes: Document, said: str
) -> None:
    home = build(tmp_path, card=signed_again(signer, **changes))
    result = judge(read_subject(home, TRUSTED), "G9", figured())
    assert result.status == "failed"
    assert said in result.why


def test_g9_a_waiver_changed_after_it_was_signed_or_of_another_version_does_not_help(tmp_path: Path) -> None:
    def longer(card: Document) -> None:
        card["product"]["waivers"][0]["at_most"] = 0.9

    def other_version(card: Document) -> None:
        waiver = card["product"]["waivers"][0]
        card["product"]["waivers"] = [sign_waiver(waiver, NAME, "1.0.0", OWNER)]

    for number, edit in enumerate((longer, other_version)):
        home = build(tmp_path / str(number), card=edit)
        assert "its signature is not of this text" in judge(read_subject(home, TRUSTED), "G9", figured()).why


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


def test_what_is_signed_of_a_waiver_is_its_text_in_one_form() -> None:
    assert _signed({"reason": "é", "at_most": 0.1}, "m", "1.0.0") == (
        '{"model":"m","version":"1.0.0","waiver":{"at_most":0.1,"reason":"é"}}'.encode()
    )
