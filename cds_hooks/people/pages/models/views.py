"""The pages of the models: the list with the published equations, and a model with its card.

From a model's manifest, card and release to its page: performance, calibration, inputs, source attributes, gates.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cds_hooks.people.pages.explain.recorded_decision import SEX, average_of
from cds_hooks.people.pages.rules.standing import ModelStanding
from cds_hooks.people.pages.server import PageServer
from cds_hooks.people.web.charts import round_scale
from cds_hooks.people.web.numbers import LEAST_EVENTS, format_unit, format_value, words_of
from cds_hooks.people.web.site import HEADERS, Failure, PageRefusal
from cds_hooks.people.web.visitor import visiting
from models_onnx.artifact.manifest import Manifest, ModelInput
from models_onnx.declarations import origin_of
from models_onnx.equations.calculate import limits
from models_onnx.equations.card import source_attributes
from models_onnx.equations.declaration import EquationInput, find_equations
from models_onnx.model_card.attributes import card_sections
from models_onnx.model_card.calibration import calibration
from models_onnx.model_card.origin import absence_words, lineage_rows, provenance_rows
from models_onnx.model_card.schema import DECLARED
from models_onnx.monitoring.alerting import alerting_of
from models_onnx.monitoring.intervals import Interval

_NO_MODEL = Failure("No such model", "No model of this name is served here.", "/models lists those there are.")
_MODEL_OUT = Failure(
    "This model cannot be served",
    "The files of the model were changed or are missing, so it gives no advice and its service answers with an error.",
    "Tell the operator of this server; /readyz says what is wrong.",
)
_NO_EQUATION = Failure("No such equation", "No equation has this name.", "/models lists those there are.")
_NO_FILE = Failure("No such file", "There is no such file.", "Each model's page has the files that there are.")


def routes(server: PageServer) -> list[Route]:
    """Return their addresses."""
    files = server.files
    absent = {model.name for service in server.services.values() for model in service.absent_models}

    def models() -> Response:
        standings = [standing_of(server, name, manifest) for name, manifest in files.manifests().items()]
        present = [standing for standing in standings if standing is not None]
        drafts = [(name, manifest.title) for name, manifest in files.manifests().items() if not files.release(name)]
        return server.page(
            "models/models.html",
            models=present,
            drafts=drafts,
            needs_approval=server.approvals is not None,
            origin_of=origin_of,
            equations=find_equations().values(),
            input_row=_input_of_equation,
            source_attributes=source_attributes,
        )

    def first() -> Response:
        """Lead whoever opens "/" to the first page of the navigation that is theirs."""
        return RedirectResponse(visiting().links[0].path, 303, HEADERS)

    def equation(equation_id: str) -> Response:
        """Lead the link of a card to the equation in the list."""
        if equation_id not in find_equations():
            raise PageRefusal(_NO_EQUATION)
        return RedirectResponse(f"../models#equation-{equation_id}", 308, HEADERS)

    def model(model_id: str) -> Response:
        if model_id in absent:
            raise PageRefusal(_MODEL_OUT, 503)
        manifest = files.manifest(model_id)
        if manifest is None:
            raise PageRefusal(_NO_MODEL)
        values = model_values(manifest, files.card(model_id))
        return server.page("models/model.html", standing_here=standing_of(server, model_id, manifest), **values)

    def card(model_id: str) -> Response:
        content = files.card(model_id)
        if content is None:
            raise PageRefusal(_NO_FILE)
        return Response(msgspec.json.format(msgspec.json.encode(content)), 200, HEADERS, "application/json")

    return [
        server.route("/", first),
        server.route("/equations/{equation_id}", equation),
        server.route("/models", models),
        server.route("/models/{model_id}", model),
        server.route("/models/{model_id}/card.json", card),
    ]


def standing_of(server: PageServer, model_id: str, manifest: Manifest) -> ModelStanding | None:
    """Return how a model in use stands here; None where it was never released."""
    release = server.files.release(model_id)
    if release is None:
        return None
    waivers = (server.files.card(model_id) or {}).get("product", {}).get("waivers", [])
    return server.committee.model(model_id, release, manifest.title, server.files.gates(model_id), waivers)


_AGES = re.compile(r"(?P<low>\d\d)(?:-(?P<high>\d\d)| and over)")


class Tested(Struct, frozen=True):
    """How the estimates held among these people; None where there was not enough data.

    `ranking` is the AUROC, `happened` what happened for each one expected, `slope` the calibration slope.
    """

    people: int
    events: int
    ranking: Interval | None
    happened: Interval | None
    slope: Interval | None = None


class Group(Struct, frozen=True):
    """One group of people it was tested in, over all years and in those it was last set to."""

    axis: str
    name: str
    every: Tested
    latest: Tested


class ModelEvaluation(Struct, frozen=True):
    """The whole evaluation; `simple` is the ranking by a few inputs alone, which the model has to beat."""

    how: str
    every: Tested
    latest: Tested
    simple: Interval | None
    groups: tuple[Group, ...]

    def groups_of(self, age: float | None, sex: str) -> list[Group]:
        """Return the groups of age and sex that a person belongs to."""
        return [group for group in self.groups if group.name == sex or (age is not None and _holds(group.name, age))]


def performance(manifest: Manifest) -> ModelEvaluation:
    """Return what the manifest's evaluation says."""
    evaluation = manifest.evaluation
    return ModelEvaluation(
        how=evaluation["how"],
        every=_tested(evaluation["all"]),
        latest=_tested(evaluation["latest"]),
        simple=estimate_of(evaluation["simple"].get("auroc")),
        groups=tuple(
            Group(block["axis"], block["group"], _tested(block), _tested(block.get("latest", {})))
            for block in evaluation["subgroups"]
        ),
    )


_FIGURES = ("auroc", "observed_expected", "calibration_slope")


def _tested(block: Mapping[str, Any]) -> Tested:
    events = block.get("events", 0)
    enough = block.get("sufficient", events >= LEAST_EVENTS)
    figures = {name: estimate_of(block.get(name)) if enough else None for name in _FIGURES}
    return Tested(block.get("n", 0), events, *figures.values())


def estimate_of(figure: Mapping[str, float | None] | None) -> Interval | None:
    """Return a figure as a page shows it; None where it cannot be computed."""
    value, low, high = (figure.get(name) for name in ("value", "low", "high")) if figure else (None, None, None)
    return None if value is None or low is None or high is None else Interval(value, low, high)


def _holds(name: str, age: float) -> bool:
    match = _AGES.fullmatch(name)
    return match is not None and int(match["low"]) <= age and (match["high"] is None or age < int(match["high"]) + 1)


def _input_row(feature: ModelInput) -> tuple[str, str, str, str]:
    """Return what an input is called, the range the model knows, the group's average, and where it is read from."""
    source = f"LOINC {', '.join(feature.loinc)}" if feature.loinc else feature.fhir
    return words_of(feature), _range(feature), average_of(feature), source


def _input_of_equation(item: EquationInput) -> tuple[str, str, str, str]:
    """Return words, unit, limits or choices, and codes of an input."""
    allowed = " or ".join(item.choices) if item.choices else "yes or no" if item.kind == "yes-no" else limits(item)
    codes = ", ".join(f"LOINC {code}" for code in item.loinc) or item.note
    return item.words, "" if item.unit == "1" else item.unit, allowed, codes


def _range(feature: ModelInput) -> str:
    if feature.name == SEX:
        return "male or female"
    low, high = format_value(feature.trained_low), format_value(feature.trained_high)
    above = f"; above, it counts as {feature.clip_high:g}" if feature.clip_high is not None else ""
    return f"{low} to {high} {format_unit(feature.unit)}{above}"


def model_values(manifest: Manifest, card: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what the template of a model shows: what it is for, for whom it was tested, and how well it does."""
    observed = calibration(manifest)
    return {
        "manifest": manifest,
        "alerting": [alerting_of(manifest, row) for row in manifest.thresholds.table],
        "tested": performance(manifest),
        "provenance": provenance_rows(manifest),
        "calibration": observed,
        "calibration_scale": round_scale(100 * observed.highest),
        "features": [_input_row(feature) for feature in manifest.features],
        "attributes": card_sections(card) if card else [],
        "review": card["product"].get("irm") if card else None,
        "newest_year": card["product"].get("data_last_year") if card else None,
        "questions": DECLARED,
        "lineage": lineage_rows(manifest),
        "absence": absence_words(manifest),
    }
