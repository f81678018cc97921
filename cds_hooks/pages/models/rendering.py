"""Renders the pages: what each template is given."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from cds_hooks.pages.committee.tables import ModelStanding, RuleStanding
from cds_hooks.pages.coverage import coverage_tables
from cds_hooks.pages.explain.explanation import NO_ANSWERS, Answering, Explanation
from cds_hooks.pages.explain.missing_inputs import EarlierEstimate, Move
from cds_hooks.pages.explain.what_if import WhatIf
from cds_hooks.pages.models.description import (
    attribute_sections,
    calibration_rows,
    estimate_of,
    input_rows,
    performance,
    release_status,
)
from cds_hooks.pages.rules.description import RuleEntry, RulePage
from cds_hooks.web.numbers import format_time
from cds_hooks.web.site import Site, render, static_version
from models_onnx.artifact.manifest import Manifest
from models_onnx.artifact.release_file import Release
from models_onnx.equations.calculate import limits
from models_onnx.equations.card import source_attributes
from models_onnx.equations.declaration import Equation, EquationInput
from models_onnx.model_card.effect_plots import effect_plots
from models_onnx.model_card.evaluation_file import GroupRates, LaterEvaluation, rates_at_equal_ages
from models_onnx.model_card.origin import absence_words, lineage_rows
from models_onnx.model_card.plots import BAR, bins_of, curves, net_benefit_of_everybody, net_benefits
from models_onnx.monitoring.alerting import alerting_of
from models_onnx.serving.effects import Effect


class InputRow(Struct, frozen=True):
    """One input in words: its unit, its limits or choices, and the codes it is found by."""

    words: str
    unit: str
    limits: str
    codes: str


def equation_inputs(equation: Equation) -> list[InputRow]:
    """The inputs in the order of the equation."""
    return [_row(item) for item in equation.inputs]


def _row(item: EquationInput) -> InputRow:
    allowed = " or ".join(item.choices) if item.choices else "yes or no" if item.kind == "yes-no" else limits(item)
    codes = ", ".join(f"LOINC {code}" for code in item.loinc) or item.note
    return InputRow(item.words, "" if item.unit == "1" else item.unit, allowed, codes)


class LoginForm(Struct, frozen=True):
    """What the login page shows: its two ways in, where the person goes afterwards, and what was wrong before.

    `token` is what the form carries against forms of other sites.
    """

    page: str
    token: str
    by_account: bool
    by_provider: bool
    name: str = ""
    problem: str = ""


def start_page(
    site: Site,
    services: Iterable[Any],
    models: list[Manifest],
    rules: list[RuleEntry],
    equations: Iterable[Equation] = (),
) -> str:
    """What this server is and offers; `services` have id, hooks, title and description."""
    told = {"services": list(services), "models": models, "rules": rules, "equations": list(equations)}
    return _render("start/start.html", site, root="", coverage=coverage_tables(), **told)


def rule_page(site: Site, rule: RulePage, standing: RuleStanding) -> str:
    """What a medication rule says, on what it rests, and how it stands here."""
    return _render("rules/rule.html", site, root="../", it=rule, standing=standing)


def explanation_page(
    site: Site,
    explanation: Explanation,
    moves: Sequence[Move] = (),
    history: Sequence[EarlierEstimate] | None = (),
    question: WhatIf | None = None,
    answering: Answering = NO_ANSWERS,
) -> str:
    """Why one decision was as it was.

    `moves` say how far missing inputs could move the estimate, `history` are the estimates before it (None: not for who
    asks), `question` is what can be asked about other values, and `answering` has the answers to its cards.
    """
    around = {"moves": moves, "history": history, "question": question, "script": static_version("explain.js")}
    told = {"answers": answering.forms, "may_answer": answering.may_answer}
    told |= {"problem": answering.problem, "problem_of": answering.problem_of}
    return _render("explain/explanation.html", site, root="../", it=explanation, **around, **told)


def model_page(
    site: Site,
    manifest: Manifest,
    card: dict[str, Any] | None = None,
    release: Release | None = None,
    shapes: Sequence[Effect] = (),
    later: LaterEvaluation | None = None,
    standing_here: ModelStanding | None = None,
) -> str:
    """What a model is for, for whom it was tested, and how well it does; with its card, where there is one.

    `shapes` are the effects of its inputs, `later` is what was evaluated after it was signed; `standing_here` is how it
    stands at this site.
    """
    return _render(
        "models/model.html",
        site,
        root="../",
        manifest=manifest,
        alerting=[alerting_of(manifest, row) for row in manifest.thresholds.table],
        tested=performance(manifest),
        bins=calibration_rows(manifest),
        features=input_rows(manifest),
        attributes=attribute_sections(card) if card else [],
        standing=release_status(release) if release else None,
        **_curves(manifest, shapes, later),
        standing_here=standing_here,
        lineage=lineage_rows(manifest),
        absence=absence_words(manifest),
    )


def _curves(manifest: Manifest, shapes: Sequence[Effect], later: LaterEvaluation | None) -> dict[str, Any]:
    """What the template of a model is given for its drawings and for the value of its thresholds."""
    bins = bins_of(manifest)
    own = rates_at_equal_ages(manifest, None)
    return {
        "curves": curves(bins, bins, manifest, manifest.evaluation["latest"]["auroc"]),
        "shapes": effect_plots(shapes, manifest.link),
        "benefits": {
            row.capacity: told for row, told in zip(manifest.thresholds.table, net_benefits(manifest), strict=True)
        },
        "benefit_all": net_benefit_of_everybody(manifest),
        "alerts": manifest.thresholds.alerts_per_event or BAR,
        "equal_ages": [_rates(each) for each in own or rates_at_equal_ages(manifest, later)],
        "equal_ages_source": "" if own or later is None else f"Computed after the model was signed: {later.how}",
    }


def _rates(each: GroupRates) -> dict[str, Any]:
    return {"name": each.name, "sufficient": each.sufficient, "rates": [estimate_of(rate) for rate in each.rates]}


def equation_page(site: Site, equation: Equation) -> str:
    """What a published equation is for, what goes in, how it is read, and its source attributes."""
    inputs, told = equation_inputs(equation), source_attributes(equation)
    return _render("equations/equation.html", site, root="../", it=equation, inputs=inputs, attributes=told)


_ANSWERS = {"cards": "cards", "silent": "evaluated, nothing to recommend", "refused": "no answer"}


def patient_page(site: Site, patient: str, found: Iterable[Any], titles: Mapping[str, str]) -> str:
    """The answers about one patient, from decisions; `titles` are those of the services."""
    rows = [
        {
            "id": one.id,
            "when": format_time(datetime.fromtimestamp(one.decided_at / 1e6, UTC)),
            "title": titles.get(one.service, one.service),
            "outcome": _ANSWERS.get(one.outcome, one.outcome),
        }
        for one in found
    ]
    return _render("explain/patient.html", site, root="", patient=patient, rows=rows)


def login_page(site: Site, form: LoginForm) -> str:
    """The page on which people log in."""
    return _render("login/login.html", site, root="", form=form)


def _render(template: str, site: Site, root: str, **values: Any) -> str:
    """`root` is the way from the page back to the start page."""
    return render(template, site=site, root=root, **values)
