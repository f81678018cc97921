"""Renders the pages: the templates, the headers they are sent with, and what each template is given."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from cards.compose.model import in_100
from cds_hooks.web.charts import HAPPENED, PEOPLE
from cds_hooks.web.coverage import coverage_tables
from cds_hooks.web.decision_page import NO_ANSWERS, Answering, Explanation
from cds_hooks.web.model_inputs import words_of
from cds_hooks.web.model_page import (
    LEAST_EVENTS,
    attribute_sections,
    calibration_rows,
    estimate_of,
    happened,
    input_rows,
    otherwise,
    outcome_short,
    performance,
    release_status,
    simple_inputs,
)
from cds_hooks.web.moves import EarlierEstimate, Move
from cds_hooks.web.numbers import format_time, people_range, signed
from cds_hooks.web.recorded_decision import is_web_address
from cds_hooks.web.rule_page import RuleEntry, RulePage
from cds_hooks.web.visiting import visiting
from cds_hooks.web.what_if import WhatIf
from fhir.record.chart_text import without_hidden
from models_onnx.artifact.manifest import Manifest
from models_onnx.artifact.release_file import Release
from models_onnx.equations.calculate import limits
from models_onnx.equations.card import source_attributes
from models_onnx.equations.declaration import Equation, EquationInput
from models_onnx.monitoring.alerting import InForce, alerting_at, alerting_of
from models_onnx.release.effect_plots import effect_plots
from models_onnx.release.evaluation_file import GroupRates, LaterEvaluation, rates_at_equal_ages
from models_onnx.release.origin import absence_words, lineage_rows
from models_onnx.release.plots import BAR, bins_of, curves, net_benefit_of_everybody, net_benefits
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


if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = files("cds_hooks.web")

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    ),
    # with no-referrer a browser sends `Origin: null` with its own form, which cannot be told from another site's
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""Nothing but our own style sheet and icon is loaded, no script runs, and a page about a person is never kept."""

SCRIPT_HEADERS = HEADERS | {
    "content-security-policy": HEADERS["content-security-policy"] + "; script-src 'self'; connect-src 'self'",
}
"""The same for a page that has a script of ours, which asks this server only."""

STATIC_TYPES = {
    "look.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "try.js": "text/javascript; charset=utf-8",
    "explain.js": "text/javascript; charset=utf-8",
    "simulation.js": "text/javascript; charset=utf-8",
}
"""The files under /static/ and what they are."""


class Failure(Struct, frozen=True):
    """What a page says instead of an answer: what happened and what to do."""

    title: str
    sign: str
    what: str
    next: str


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


class Site(Struct, frozen=True):
    """What every page of this server knows."""

    development: bool
    alert_share: float | None
    shares: Mapping[str, float] = field(default_factory=dict)
    """The share (0 to 1) for which a model's cards are shown here, by the model's id; of others it is not known."""
    clock: str = ""
    """The instant at which the clock was set to stand, in words; "" where it runs."""
    by_age: frozenset[str] = frozenset()
    """The models whose cards are shown for the highest of the people of the same age here."""

    def alerting(self, manifest: Manifest) -> InForce:
        """What the threshold costs and finds that is in force here for the model."""
        share = self.shares.get(manifest.id) or self.alert_share or manifest.thresholds.capacity
        return alerting_at(manifest, share)


def start_page(
    site: Site,
    services: Iterable[Any],
    models: list[Manifest],
    rules: list[RuleEntry],
    equations: Iterable[Equation] = (),
) -> str:
    """What this server is and offers; `services` have id, hooks, title and description."""
    told = {"services": list(services), "models": models, "rules": rules, "equations": list(equations)}
    return _render("start.html", site, root="", coverage=coverage_tables(), **told)


def rule_page(site: Site, rule: RulePage, standing: Any = None) -> str:
    """What a medication rule says, on what it rests, and how it stands here (`committee.RuleStanding`)."""
    return _render("rule.html", site, root="../", it=rule, standing=standing)


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
    return _render("explanation.html", site, root="../", it=explanation, **around, **told)


def model_page(
    site: Site,
    manifest: Manifest,
    card: dict[str, Any] | None = None,
    release: Release | None = None,
    shapes: Sequence[Effect] = (),
    later: LaterEvaluation | None = None,
    standing_here: Any = None,
) -> str:
    """What a model is for, for whom it was tested, and how well it does; with its card, where there is one.

    `shapes` are the effects of its inputs, `later` is what was evaluated after it was signed; `standing_here` is how it
    stands at this site (`committee.ModelStanding`).
    """
    return _render(
        "model.html",
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
    return _render("equation.html", site, root="../", it=equation, inputs=inputs, attributes=told)


def failure_page(site: Site, failure: Failure, call_id: str, root: str = "../") -> str:
    """That there is no answer, why, and the id under which the operator's log has it; `root` as of the address."""
    return _render("failure.html", site, root=root, failure=failure, call_id=call_id)


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
    return _render("patient.html", site, root="", patient=patient, rows=rows)


def login_page(site: Site, form: LoginForm) -> str:
    """The page on which people log in."""
    return _render("login.html", site, root="", form=form)


def static_file(name: str) -> bytes:
    """The bytes of a file of STATIC_TYPES."""
    return (_FOLDER / "static" / name).read_bytes()


def static_version(name: str) -> str:
    """What makes the address of a file a new one when the file changes."""
    return hashlib.sha256(static_file(name)).hexdigest()[:12]


def _render(template: str, site: Site, root: str, **values: Any) -> str:
    """`root` is the way from the page back to the start page."""
    return render(template, site=site, root=root, **values)


def render(template: str, **values: Any) -> str:
    """A template of `web/templates` with these values; every text is escaped."""
    return _environment().get_template(template).render(**values)


def _as_seen(value: Any) -> Any:
    """What a template shows: a text of a chart without invisible characters; our own markup is left as it is."""
    return without_hidden(value) if type(value) is str else value


@cache
def _environment() -> "Environment":
    # imported with the first page, because the hooks must answer sooner after a start than anyone opens one
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cds_hooks.web"),
        autoescape=True,
        finalize=_as_seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "look": static_version("look.css"),
        "visiting": visiting,
        "people_scale": PEOPLE,
        "happened_scale": HAPPENED,
        "indicator_words": {"info": "Info", "warning": "Warning", "critical": "Critical"},
        "in_100": in_100,
        "people_range": people_range,
        "signed": signed,
        "is_web_address": is_web_address,
        "words_of": words_of,
        "simple_inputs": simple_inputs,
        "least_events": LEAST_EVENTS,
        "outcome_short": outcome_short,
        "happened": happened,
        "otherwise": otherwise,
    }
    return environment
