"""Rules made for a test: one band, or a few, about any drug, with whatever else of a rule the test is about."""

from typing import Any

import msgspec
from msgspec.structs import replace

from cards.rules.engine.compile import CompiledRule, compile_table
from cards.rules.engine.family import Family
from cards.rules.engine.finding import Evaluation, Match, RuleFinding, evaluate_partners, evaluate_rule
from cards.rules.engine.render import render_finding
from cards.rules.language.rule import RuleTable
from cards.rules.patient.context import RuleContext

Json = dict[str, Any]
MADE = Family("made")


def evidence(label: str) -> Json:
    """A document of this label."""
    return {
        "document": "D",
        "organisation": "O",
        "year": "2026",
        "section": "1",
        "label": label,
        "grade": "none",
        "grade_scheme": "none",
        "basis": "label",
    }


def band(name: str, when: Json, indicator: str = "warning", **more: Any) -> Json:
    """A band whose summary and detail say its name, unless `more` says others."""
    return {"id": name, "when": when, "indicator": indicator, "summary": f"{name}.", "detail": f"{name} more.", **more}


def rule_of(
    *bands: Json, family: Family = MADE, table: Json | None = None, id: str = "made-rule", **more: Any
) -> CompiledRule:
    """The compiled rule of these bands; `more` are other members of the rule, `table` those of its family's table."""
    rule = {
        "id": "made-rule",
        "title": "Made rule",
        "priority": 7,
        "trigger": {"draft": [{"any_drug": True}]},
        "evidence": [evidence("First"), evidence("Second")],
        "audit": {"verified": "knowledge", "source": "made", "date": "2026-11-20"},
        "bands": list(bands),
        **more,
    }
    whole = {
        "family": family.name,
        "title": "Made",
        "reviewed": "2026-11-20",
        "status": "made",
        "source": "made",
        "override_reasons": [{"code": "seen", "display": "Seen"}],
        "rules": [rule],
        **(table or {}),
    }
    made = msgspec.convert(whole, RuleTable)
    rule_named = replace(made.rules[0], id=id)  # a short one, which no file may have
    (compiled,) = compile_table(family, replace(made, rules=(rule_named,)))
    return compiled


def found(rule: CompiledRule, context: RuleContext) -> RuleFinding:
    """What the rule finds in this context, before all its partners where it has some."""
    evaluation = evaluated(rule, context)
    assert isinstance(evaluation, Match), evaluation
    return render_finding(evaluation)


def evaluated(rule: CompiledRule, context: RuleContext) -> Evaluation:
    """The evaluation of the rule, before each of the partners where there are some."""
    if not context.partners:
        return evaluate_rule(rule, context)
    alone = RuleContext(context.session, context.drafted, context.ingredient)
    return evaluate_partners(rule, alone, context.partners)
