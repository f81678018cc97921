"""What the page of a decision says by its record: the comparison, the heading, what was not shown, and each card."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from markupsafe import Markup

from cards.card import OVERRIDE_SYSTEM
from cards.extension import EXTENSION_KEY, Fact, FindingReference
from cards.rules.engine.governance import all_rule_versions
from cds_hooks.decision_history import Card, Link, Reason, Source, Suggestion, decision_history, is_refused, read_cards
from cds_hooks.pages.explain.explanation import Band, Estimate, Explanation, _bands, _estimate, _same_file, explain
from cds_hooks.pages.explain.recorded_decision import (
    Basis,
    FactRow,
    ModelFile,
    Scores,
    SentCard,
    _fact_row,
    read_models,
    sent_card,
)
from cds_hooks.pages.model_files import evidence_of
from tests.cds_hooks.pages.explain.test_inputs import AS_OF
from tests.cds_hooks.storage.samples import a_decision

RULE = "renal-metformin"


def scores(**changes: Any) -> Scores:
    made = {
        "id": "m", "version": "1", "sha256": "0", "probability": 0.5, "margin": 0.0, "base": -0.5,
        "contributions": {"a": 0.75, "b": -0.25}, "percentile": 42.9, "observed_rate": 0.5, "observed_low": 0.25,
        "observed_high": 0.75, "observed_count": 1234,
    }  # fmt: skip
    return Scores(**{**made, **changes})


OBSERVED = Band("What happened to 1,234 people with estimates near this one", 50, "25 to 75", 25.0, 50.0, 75.0)


def test_an_estimate_is_compared_with_those_near_it_its_own_range_and_everyone() -> None:
    assert _bands(scores(), None) == (OBSERVED,)
    sure = Band("How sure the estimate is with these values", 50, "12 to 62", 12.5, 50.0, 62.5)
    assert _bands(scores(interval=(0.125, 0.625)), None) == (OBSERVED, sure)
    reference = SimpleNamespace(words="adults", events=50, n=100)
    *_, everyone = _bands(scores(), SimpleNamespace(reference=reference))  # type: ignore[arg-type]
    assert (everyone.who, everyone.people, everyone.range, everyone.middle) == (
        "Everyone in the group: adults",
        50,
        "40 to 60",
        50.0,
    )
    assert (round(everyone.low, 2), round(everyone.high, 2)) == (40.38, 59.62)  # Wilson's interval of 50 of 100


def test_an_estimate_has_its_percentile_its_sum_and_the_people_of_the_same_age() -> None:
    made = _estimate(scores(), [], None, 71.0)
    assert (made.people, made.percentile, made.near, made.total, made.logit) == (50, 42, "25 to 75", 0.5, 0.0)
    assert (made.bands, made.band, made.among_ages) == ((OBSERVED,), None, None)
    assert [_estimate(scores(percentile=each), [], None, None).percentile for each in (98.9, 99.0, 99.9, 100.0)] == [
        98, 99, 99, 99,
    ]  # fmt: skip
    asked: list[float] = []

    def band_at(age: float) -> Any:
        asked.append(age)
        return SimpleNamespace(percentile=lambda margin: 80 if margin == 0.0 else 1)

    reference = SimpleNamespace(words="adults", events=50, n=100)
    manifest: Any = SimpleNamespace(reference=reference, thresholds=SimpleNamespace(band_at=band_at))
    assert _estimate(scores(), [], manifest, 71.0).among_ages == 80
    assert _estimate(scores(), [], manifest, None).among_ages is None
    assert asked == [71.0]


@pytest.mark.parametrize(
    ("probability", "low", "high", "is_own", "beyond"),
    [
        (0.50, 0.25, 0.75, True, ""),
        (0.25, 0.25, 0.75, True, ""),
        (0.24, 0.25, 0.75, True, "below"),
        (0.75, 0.25, 0.75, True, ""),
        (0.76, 0.25, 0.75, False, "above"),
    ],
)
def test_an_estimate_can_be_outside_what_happened_to_people_near_it(
    probability: float, low: float, high: float, *, is_own: bool, beyond: str
) -> None:
    made: Estimate = _estimate(scores(probability=probability, observed_low=low, observed_high=high), [], None, None)
    assert (made.is_own_figure, made.beyond) == (is_own, beyond)


def explained(response: Any = None, outcome: Any = "silent", silence: Any = (), **more: Any) -> Explanation:
    basis = {"as_of": "2026-11-20T09:00:00+00:00", "silence": silence}
    decision = a_decision(
        outcome=outcome, response=orjson.dumps({"cards": response or []}), basis=orjson.dumps(basis), **more
    )
    return explain(decision, "A service", lambda _: None, evidence_of, decision_history(decision, ()))


def card(indicator: str = "info", summary: str = "Look", *rules: str) -> dict[str, Any]:
    findings = [{"rule": rule, "band": "lt30"} for rule in rules]
    extension = {EXTENSION_KEY: {"findings": findings}} if rules else {}
    return {"summary": summary, "indicator": indicator, "source": {"label": "s"}, "extension": extension}


@pytest.mark.parametrize(
    ("given", "heading", "tab"),
    [
        ({"outcome": "error"}, "No answer: the call was refused", "No answer: the call was refused (A service)"),
        ({}, "No card: nothing found", "No card: nothing found (A service)"),
        (
            {"silence": [["a", "paused", "It is paused."]]},
            "No card: held back",
            "No card: held back (A service)",
        ),
        (
            {"outcome": "cards", "response": [card("info", "Mild"), card("critical", "Grave", RULE)]},
            "Grave",
            f"Critical: {all_rule_versions()[RULE].rule.title}",
        ),
        ({"outcome": "cards", "response": [card("warning", "Look", "no-rule")]}, "Look", "Warning: A service"),
        ({"outcome": "cards", "response": [card("warning", "Look")]}, "Look", "Warning: A service"),
    ],
)
def test_the_heading_is_the_gravest_card_or_what_none_means_and_the_tab_names_nothing_of_the_patient(
    given: dict[str, Any], heading: str, tab: str
) -> None:
    explanation = explained(**given)
    assert (explanation.heading, explanation.tab_title) == (heading, tab)
    assert explanation.refused is (given.get("outcome") == "error")


def test_reasons_are_what_was_looked_for_what_was_held_back_and_the_rest() -> None:
    reasons = ("scope", "not-recognised", "paused", "below-threshold", "worklist")
    explanation = explained(silence=[[f"s{number}", reason, "t"] for number, reason in enumerate(reasons)])
    assert [silence.subject for silence in explanation.scope] == ["s0", "s1"]
    assert [held.subject for held in explanation.withheld] == ["s2", "s4"]
    assert [silence.subject for silence in explanation.unsaid] == ["s3"]
    assert explanation.no_card.kind == "held-back"


def test_the_page_has_the_times_and_the_hook_in_words() -> None:
    explanation = explained(decided_at=1_795_165_200_000_000)
    assert (explanation.decided, explanation.as_of) == ("2026-11-20 09:00 UTC", "2026-11-20 09:00 UTC")
    assert (explanation.age, explanation.sex, explanation.inputs, explanation.estimate) == ("", "", [], None)
    hooks = ("patient-view", "order-select", "order-sign", "encounter-start")
    assert [explained(hook=hook).when for hook in hooks] == [
        "when the chart was opened",
        "when an order was selected",
        "when orders were signed",
        "",
    ]


def test_a_manifest_is_that_of_the_file_that_was_asked_or_of_its_version_beside() -> None:
    def manifest(sha256: str) -> Any:
        return SimpleNamespace(file=SimpleNamespace(sha256=sha256))

    beside = manifest("0")
    there: dict[str, Any] = {"m": manifest("1"), "m@1": beside}
    assert _same_file(ModelFile("m", "1", "0"), there.get) is beside
    assert _same_file(ModelFile("m", "1", "1"), there.get) is there["m"]
    assert _same_file(ModelFile("m", "1", "2"), there.get) is None
    assert _same_file(ModelFile("n", "1", "0"), there.get) is None
    assert _same_file(None, there.get) is None


# One card


def test_a_card_as_it_was_sent_keeps_web_addresses_alone() -> None:
    ours = {
        "findings": [{"rule": RULE, "band": "lt30"}, {"rule": RULE, "band": "30to44_new"}],
        "facts": [{"name": "egfr", "text": "eGFR 25", "effective": "2026-11-19T08:00:00Z", "source": "Observation/1"}],
        "model": {"id": "m"},
    }
    sent = Card(
        "Look", "hard-stop", Source("Guide", "javascript:alert(1)"), "u", "**Now**",
        [Suggestion("Stop", True, "s1")],
        [Link("Why", "https://a.example"), Link("App", "https://a.example/app", "smart"), Link("Bad", "ftp://a.example")],
        [Reason("Not now", "later"), Reason("", "code")],
        {EXTENSION_KEY: ours},
    )  # fmt: skip
    assert sent_card(sent, evidence_of) == SentCard(
        uuid="u",
        indicator="info",
        summary="Look",
        detail=Markup("<p><strong>Now</strong></p>"),
        source=Source("Guide"),
        suggestions=(Suggestion("Stop", True, "s1"),),
        override_reasons=(Reason("Not now", "later"),),
        links=(Link("Why", "https://a.example"),),
        findings=(FindingReference(RULE, "lt30"), FindingReference(RULE, "30to44_new")),
        facts=(FactRow("eGFR 25", "2026-11-19", "Observation/1"),),
        evidence=evidence_of(RULE),
        by_model=True,
    )
    bare = sent_card(Card("Look", "critical", Source("Guide", "https://a.example")), evidence_of)
    assert (bare.indicator, bare.source, bare.by_model, bare.evidence) == (
        "critical",
        Source("Guide", "https://a.example"),
        False,
        (),
    )
    assert sent_card(sent, evidence_of).reasons == ("Not now",)
    assert OVERRIDE_SYSTEM not in str(bare)


@pytest.mark.parametrize(
    ("fact", "row"),
    [
        (Fact("serum_sodium", value=130.0, unit="mmol/L"), FactRow("serum sodium 130 mmol/L", "", None)),
        (Fact("serum_sodium", value=130.0), FactRow("serum sodium 130", "", None)),
        (Fact("draft", value="metformin"), FactRow("draft metformin", "", None)),
        (Fact("age"), FactRow("age", "", None)),
        (Fact("age", "Age 71", value=71.0, effective="2026-11"), FactRow("Age 71", "2026-11", None)),
    ],
)
def test_a_fact_is_its_text_or_its_name_with_its_value(fact: Fact, row: FactRow) -> None:
    assert _fact_row(fact) == row


def test_a_refused_call_has_no_cards_and_scores_of_an_equation_are_no_models() -> None:
    refused, answered = a_decision(outcome="error"), a_decision()
    assert (is_refused(refused), is_refused(answered)) == (True, False)
    assert (read_cards(refused), [sent.summary for sent in read_cards(answered)]) == ([], ["A summary ≥ 3"])
    assert read_models(answered) == [ModelFile("mortality_5y", "1", "c" * 64)]
    assert Basis(AS_OF).model_scores is None
    assert Basis(AS_OF, scores={"output": "risk", "value": 0.1}).model_scores is None
    recorded = {name: getattr(scores(), name) for name in Scores.__struct_fields__ if name != "interval"}
    assert Basis(AS_OF, scores=recorded).model_scores == scores()
