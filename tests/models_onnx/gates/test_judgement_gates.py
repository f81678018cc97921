"""G6 to G15 and G18: each passes for the committed model, and fails for one made bad on purpose, and says why."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from models_onnx.gates.checks.label import Panel, score_trained_on, simulate
from models_onnx.gates.subject import Audit, ComposedCard, Evidence, Paired, Subject
from tests.models_onnx.gates.judging import judge
from tests.models_onnx.gates.test_file_gates import add_to_probability, blind, rename_output
from tests.models_onnx.workshop import evidence, good_manifest, subject

Document = dict[str, Any]


@pytest.fixture(scope="session")
def panel() -> Panel:
    """The published structure, simulated once."""
    return simulate(20_000)


def block(document: Document, name: str) -> Document:
    """A block of the stored evaluation."""
    found: Document = document["evaluation"][name]
    return found


def groups(document: Document, axis: str) -> list[Document]:
    """The stored figures of one axis."""
    return [group for group in document["evaluation"]["subgroups"] if group["axis"] == axis]


# G6


def test_g6_the_committed_model_explains_itself_exactly(good: Subject) -> None:
    result = judge(good, "G6")
    assert result.status == "passed", result.why
    assert result.figures["additivity"] <= 1e-5


def test_g6_contributions_that_do_not_add_up_fail(tmp_path: Path) -> None:
    def inflated(proto: ModelProto) -> None:
        rename_output(proto, "contributions", "true_contributions")
        for node in proto.graph.node:
            node.input[:] = ["true_contributions" if name == "contributions" else name for name in node.input]
        proto.graph.initializer.append(numpy_helper.from_array(np.array(1.01), "inflation"))
        proto.graph.node.append(helper.make_node("Mul", ["true_contributions", "inflation"], ["contributions"]))

    result = judge(subject(tmp_path, model=inflated), "G6")
    assert result.status == "failed"
    assert "miss the margin" in result.why


def test_g6_a_margin_that_is_not_that_of_the_probability_fails(tmp_path: Path) -> None:
    def halved(proto: ModelProto) -> None:
        half = numpy_helper.from_array(np.array(0.5), "half")
        add_to_probability(proto, helper.make_node("Mul", ["plain", "half"], ["probability"]), half)

    assert "of the probability" in judge(subject(tmp_path, model=halved), "G6").why


def test_g6_an_input_that_does_nothing_and_yet_contributes_fails(tmp_path: Path) -> None:
    """Two inputs whose contributions cancel: the sum is right, and the story is not."""

    def invented(proto: ModelProto) -> None:
        rename_output(proto, "contributions", "true_contributions")
        for node in proto.graph.node:
            node.input[:] = ["true_contributions" if name == "contributions" else name for name in node.input]
        count = len(good_manifest()["features"])
        shift = np.zeros((count, count))
        # what the third input contributes is told as the fourth's, and the third is given the fourth's value
        shift[2, 3] = shift[3, 2] = 1.0
        for place in range(count):
            if place not in (2, 3):
                shift[place, place] = 1.0
        proto.graph.initializer.append(numpy_helper.from_array(shift, "swap"))
        proto.graph.node.append(helper.make_node("MatMul", ["true_contributions", "swap"], ["contributions"]))

    result = judge(subject(tmp_path, model=invented), "G6")
    assert result.status == "failed"
    assert "a missing input contributes" in result.why


def test_g6_a_file_without_contributions_is_refused_for_cards(tmp_path: Path) -> None:
    def silent(proto: ModelProto) -> None:
        kept = [output for output in proto.graph.output if output.name != "contributions"]
        del proto.graph.output[:]
        proto.graph.output.extend(kept)

    result = judge(subject(tmp_path, model=silent), "G6")
    assert result.status == "failed"
    assert "no exact explanation" in result.why
    assert "refused for cards" in result.why


# G7, G8, G18


def test_g7_g8_the_stored_evaluation_of_the_committed_model_passes(good: Subject) -> None:
    assert judge(good, "G7").status == "passed"
    assert judge(good, "G8").status == "passed"


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (
            lambda d: block(d, "all").update(auroc={"value": 0.86, "low": 0.80, "high": 0.9}),
            "failed",
            "below the floor",
        ),
        (
            lambda d: block(d, "simple").update(gain={"value": 0.0, "low": -0.01, "high": 0.01}),
            "failed",
            "not better than",
        ),
        (lambda d: block(d, "all").update(events=99), "insufficient", "99 events"),
        (lambda d: d.update(evaluation={}), "not run", "no evaluation"),
    ],
)
def test_g7_poor_unknown_or_unproven_discrimination_is_red(
    tmp_path: Path, change: Callable[[Document], object], status: str, said: str
) -> None:
    result = judge(subject(tmp_path, manifest=change), "G7")
    assert (result.status, result.green) == (status, False)
    assert said in result.why


def test_g7_an_input_that_knows_the_outcome_fails_by_its_name(good: Subject) -> None:
    assert judge(good, "G7", evidence(alone={"age_years": 0.80})).status == "passed"
    result = judge(good, "G7", evidence(alone={"age_years": 0.80, "days_to_death": 0.99}))
    assert result.status == "failed"
    assert "days_to_death alone reaches an AUROC of 0.99: it knows the outcome (a leak)" in result.why


def test_g7_without_a_declared_floor_is_not_run(tmp_path: Path) -> None:
    result = judge(subject(tmp_path, card=lambda d: d["product"].pop("auroc_floor")), "G7")
    assert result.status == "not run"


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"observed_expected": {"value": 0.78, "low": 0.74, "high": 0.82}}, "not within 0.9 to 1.1"),
        ({"observed_expected": {"value": 1.0, "low": 0.88, "high": 1.12}}, "not within 0.9 to 1.1"),
        ({"calibration_slope": {"value": 0.6, "low": 0.5, "high": 0.7}}, "slope 0.600"),
    ],
)
def test_g8_numbers_that_do_not_come_true_fail(tmp_path: Path, figures: Document, said: str) -> None:
    result = judge(subject(tmp_path, manifest=lambda d: block(d, "latest").update(figures)), "G8")
    assert result.status == "failed"
    assert said in result.why


def paired(noise: float) -> Paired:
    """The same 3,000 people by the version in use and by one that sees them through so much noise."""
    draw = np.random.default_rng(5)
    truth = draw.normal(-2, 1.2, 3000)
    y = (draw.random(3000) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    return Paired(margin=truth + draw.normal(0, noise, 3000), active_margin=truth, y=y, threshold=-1.0)


def test_g18_without_a_version_in_use_there_is_nothing_to_be_worse_than(good: Subject) -> None:
    assert judge(good, "G18").status == "passed"


def test_g18_a_version_as_good_passes_and_a_worse_one_fails(good: Subject) -> None:
    assert judge(good, "G18", evidence(active=good, paired=paired(0.0))).status == "passed"
    worse = judge(good, "G18", evidence(active=good, paired=paired(2.0)))
    assert worse.status == "failed"
    assert "cannot be ruled out" in worse.why
    assert "net benefit" in worse.why


def test_g18_compares_stored_figures_of_the_same_table(good: Subject, tmp_path: Path) -> None:
    bad = subject(tmp_path, manifest=lambda d: block(d, "all")["auroc"].update(value=0.80))
    assert "lower than that of" in judge(bad, "G18", evidence(active=good)).why
    other = subject(tmp_path / "other", manifest=lambda d: d["data"].update(sha256="0" * 64))
    assert judge(other, "G18", evidence(active=good)).status == "not run"


# G9


def test_g9_the_committed_model_passes_by_a_waiver_that_ends(good: Subject) -> None:
    result = judge(good, "G9")
    assert result.status == "waived", result.why
    assert result.waiver is not None
    later = replace(evidence(), as_of=date.fromisoformat(result.waiver["expires"]))
    assert judge(good, "G9", later).status == "failed"


def no_waivers(card: Document) -> None:
    """Takes the waivers away."""
    card["product"]["waivers"] = []


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
    result = judge(subject(tmp_path, manifest=change, card=no_waivers), "G9")
    assert result.status == "failed"
    assert said in result.why


def test_g9_a_group_with_too_few_events_is_insufficient_and_neither_clears_nor_accuses(tmp_path: Path) -> None:
    def few(document: Document) -> None:
        for group in document["evaluation"]["subgroups"]:
            group["events"] = 12
            group.get("latest", group)["events"] = 12

    result = judge(subject(tmp_path, manifest=few, card=no_waivers), "G9")
    assert result.status == "insufficient"
    assert not result.green


def test_g9_without_figures_or_axes_is_not_run(tmp_path: Path) -> None:
    nothing = subject(tmp_path / "a", manifest=lambda d: d["evaluation"].update(subgroups=[]))
    assert judge(nothing, "G9").status == "not run"
    unnamed = subject(tmp_path / "b", card=lambda d: d["product"].update(fairness_axes={"language": "all"}))
    assert "no figures by language" in judge(unnamed, "G9").why


def test_g9_a_waiver_for_another_fault_too_long_or_of_another_gate_does_not_help(tmp_path: Path) -> None:
    def waiver(**changes: Any) -> Callable[[Document], object]:
        return lambda card: card["product"]["waivers"][0].update(changes)

    assert judge(subject(tmp_path / "a", card=waiver(covers=["language"])), "G9").status == "failed"
    assert judge(subject(tmp_path / "b", card=waiver(expires="2036-01-01")), "G9").status == "failed"
    assert judge(subject(tmp_path / "c", card=waiver(gate="G8")), "G9").status == "failed"


def test_no_gate_but_fairness_can_be_waived(tmp_path: Path) -> None:
    def waive_everything(card: Document) -> None:
        waiver = card["product"]["waivers"][0]
        card["product"]["waivers"] = [{**waiver, "gate": f"G{number}", "covers": [""]} for number in range(1, 19)]

    bad = subject(tmp_path, manifest=lambda d: d["parity"].update(probability=1e-3), card=waive_everything)
    assert judge(bad, "G3").status == "failed"


# G10


def audit(panel: Panel, label: NDArray[np.float64]) -> Evidence:
    """Evidence for the audit of a model trained on that label of the simulated panel."""
    score = score_trained_on(panel, label)
    return evidence(
        audit=Audit(score=score, group=panel.group, need=panel.conditions, words="active chronic conditions")
    )


def test_g10_the_cost_label_model_of_the_published_structure_fails_and_says_why(good: Subject, panel: Panel) -> None:
    result = judge(good, "G10", audit(panel, panel.cost))
    assert result.status == "failed"
    assert "at an equal score, Black need 1.3" in result.why
    assert "active chronic conditions" in result.why


def test_g10_the_condition_count_label_model_passes(good: Subject, panel: Panel) -> None:
    result = judge(good, "G10", audit(panel, panel.conditions))
    assert result.status == "passed", result.why


def test_g10_is_not_run_without_people_and_fails_without_a_declared_label(good: Subject, tmp_path: Path) -> None:
    assert judge(good, "G10").status == "not run"
    bad = subject(tmp_path, card=lambda d: d["product"].pop("label"))
    assert "does not say what the label is" in judge(bad, "G10").why


def test_g10_a_cost_label_that_nobody_audited_fails(tmp_path: Path) -> None:
    bad = subject(tmp_path, card=lambda d: d["product"]["label"].update(kind="cost"))
    assert "the label is cost" in judge(bad, "G10").why


def test_g10_too_few_people_are_insufficient(good: Subject, panel: Panel) -> None:
    some = slice(0, 300)
    few = Panel(panel.group[some], panel.inputs[some], panel.conditions[some], panel.cost[some])
    assert judge(good, "G10", audit(few, few.cost)).status == "insufficient"


# G11


def test_g11_the_committed_model_stays_within_its_bound(good: Subject) -> None:
    result = judge(good, "G11")
    assert result.status == "passed", result.why


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"card": lambda d: d["product"].update(stress_move_at_most=0.001)}, "the estimate moves by"),
        (
            {
                "manifest": lambda d: d["evaluation"]["panels"][0].update(
                    observed_expected={"value": 1.5, "low": 1.4, "high": 1.6}
                )
            },
            "it is still scored, and observed/expected is 1.50",
        ),
    ],
)
def test_g11_a_model_that_missing_values_lead_astray_fails(tmp_path: Path, changes: Document, said: str) -> None:
    result = judge(subject(tmp_path, **changes), "G11")
    assert result.status == "failed"
    assert said in result.why


def test_g11_a_model_that_breaks_without_an_input_fails(tmp_path: Path) -> None:
    def brittle(proto: ModelProto) -> None:
        # adds 0 times the first lab: nothing, unless it is missing
        proto.graph.initializer.append(numpy_helper.from_array(np.array(2, np.int64), "third"))
        proto.graph.initializer.append(numpy_helper.from_array(np.array(0.0, np.float32), "none_of_it"))
        add_to_probability(proto, helper.make_node("Add", ["plain", "wide_trace"], ["probability"]))
        for node in (
            helper.make_node("Gather", ["features", "third"], ["lab"], axis=1),
            helper.make_node("Mul", ["lab", "none_of_it"], ["trace"]),
            helper.make_node("Cast", ["trace"], ["wide_trace"], to=11),
        ):
            proto.graph.node.insert(len(proto.graph.node) - 1, node)

    result = judge(subject(tmp_path, model=brittle), "G11")
    assert "there is no number any more" in result.why


def test_g11_without_a_declared_bound_is_not_run(tmp_path: Path) -> None:
    assert judge(subject(tmp_path, card=lambda d: d["product"].pop("stress_move_at_most")), "G11").status == "not run"


# G12


def test_g12_the_committed_model_keeps_out_whom_it_is_not_for(good: Subject) -> None:
    result = judge(good, "G12")
    assert result.status == "passed", result.why


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"card": lambda d: d["product"].update(data_last_year=1994)}, "32 years ago (limit 20)"),
        ({"card": lambda d: d["product"].update(setting="inpatient")}, "nobody would be kept out"),
        ({"card": lambda d: d["product"].pop("data_last_year")}, "from which year"),
    ],
)
def test_g12_old_data_wrong_setting_or_a_guard_that_lets_through_fail(
    tmp_path: Path, changes: Document, said: str
) -> None:
    result = judge(subject(tmp_path, **changes), "G12")
    assert result.status == "failed"
    assert said in result.why


def test_g12_a_file_that_does_not_mark_what_is_out_of_range_fails(tmp_path: Path) -> None:
    result = judge(subject(tmp_path, model=blind), "G12")
    assert result.status == "failed"
    assert "is outside what it was built on, and is scored" in result.why


# G13


def card(**changes: Any) -> ComposedCard:
    """A card that breaks no rule, changed."""
    good = ComposedCard(
        summary="Death within 5 years: about 61 in 100 (higher than 98 in 100 of US adults). Consider planning ahead.",
        detail=(
            "**About 61 in 100** people like this died; 39 did not. Of 134 people, 56 to 72 in 100 did.\n"
            "- **Raises the estimate**\n  - ▲▲▲ raises a lot: Age **78**\n"
            "For planning, not for emergencies. What goes together is not what causes. [How this works](https://a.example/m)"
        ),
        indicator="info",
        options=("Order a planning conversation", "Not now"),
        links=("https://a.example/e",),
        missing=(),
        margin=0.5,
        base=-1.0,
        contributions=(1.5,),
    )
    return replace(good, **changes)


def composed(some: ComposedCard) -> Evidence:
    """Evidence in which every patient gets this card."""

    def compose(rows: NDArray[np.float64]) -> Sequence[ComposedCard]:
        return [some] * len(rows)

    return evidence(cards=compose)


def test_g13_a_card_in_the_words_of_the_rules_passes_on_200_patients(good: Subject) -> None:
    result = judge(good, "G13", composed(card()))
    assert result.status == "passed", result.why
    assert result.figures["cards"] == 200


def test_g13_a_card_that_gives_orders_fails_and_is_quoted(good: Subject) -> None:
    result = judge(
        good, "G13", composed(card(summary="Death within 5 years: 61 in 100. Stop metformin. Start hospice."))
    )
    assert result.status == "failed"
    assert "it directs instead of offering: 'Stop'" in result.why
    assert "200 of 200 cards" in result.why


def test_g13_is_not_run_where_no_service_shows_the_model(good: Subject) -> None:
    assert judge(good, "G13").status == "not run"


# G14, G15


def test_g14_the_committed_card_is_whole_and_in_the_file(good: Subject) -> None:
    assert judge(good, "G14").status == "passed", judge(good, "G14").why


def test_g14_a_blank_attribute_fails_by_number_and_name(tmp_path: Path) -> None:
    bad = subject(tmp_path, card=lambda d: d["purpose"]["users"].update(words="TBD"))
    result = judge(bad, "G14")
    assert result.status == "failed"
    assert "attribute 7 (B)(2)(iii) purpose.users (Intended users) is blank" in result.why


def test_g14_another_card_beside_the_file_than_in_it_fails(tmp_path: Path) -> None:
    bad = subject(tmp_path)
    bad.card["purpose"]["users"]["words"] = "Anybody who likes."
    assert "not the card inside the model file" in judge(bad, "G14").why


def test_g14_risks_reviewed_more_than_a_year_ago_fail(tmp_path: Path) -> None:
    bad = subject(tmp_path, card=lambda d: d["product"]["irm"].update(reviewed="2025-01-01"))
    assert "last reviewed on 2025-01-01" in judge(bad, "G14").why


def test_g14_a_model_without_a_card_fails(tmp_path: Path) -> None:
    bad = subject(tmp_path)
    bad.card.clear()
    assert "there is no model card" in judge(bad, "G14").why


def test_g15_the_committed_model_needs_no_clearance(good: Subject) -> None:
    assert judge(good, "G15").status == "passed", judge(good, "G15").why


def test_g15_a_24_hour_deterioration_score_is_refused_for_cards(tmp_path: Path) -> None:
    """NEWS2, as it would be declared: vital signs of now, the next 24 hours."""

    def news2_manifest(document: Document) -> None:
        document.update(title="NEWS2: clinical deterioration within 24 hours")
        document["outcome"].update(words="deteriorated within 24 hours", horizon_years=24 / 8766)

    def news2_card(said: Document) -> None:
        said["product"].update(horizon_hours=24.0, acting_window_hours=1.0, indications=["clinical deterioration"])

    result = judge(subject(tmp_path, manifest=news2_manifest, card=news2_card), "G15")
    assert result.status == "failed"
    assert result.why.startswith("refused for cards, it would be a medical device")
    assert "it predicts the next 24 hours" in result.why


def test_g15_what_a_model_is_called_counts_whatever_its_card_declares(tmp_path: Path) -> None:
    bad = subject(tmp_path, manifest=lambda d: d.update(title="Early warning of sepsis, next 6 hours"))
    result = judge(bad, "G15")
    assert "it is about sepsis, early warning" in result.why
    assert "its words speak of next 6 hours" in result.why
