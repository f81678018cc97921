"""Pages for people: the start page, models, equations, rules; those of single decisions are in `explaining.py`."""

import orjson
from anyio import CapacityLimiter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.call import ServerComponents
from cds_hooks.errors import NotFound
from cds_hooks.routes.changes import Changes
from cds_hooks.routes.committee import Committee
from cds_hooks.routes.explaining import Explaining
from cds_hooks.routes.operations import OperatorAccess
from cds_hooks.routes.page_answers import failed, on_a_thread, page_answer
from cds_hooks.services import Service
from cds_hooks.services._model import site_thresholds
from cds_hooks.settings import Settings
from cds_hooks.web.committee import ModelStanding
from cds_hooks.web.model_files import ModelFiles
from cds_hooks.web.numbers import format_time
from cds_hooks.web.pages import equation_page, model_page, rule_page, start_page
from cds_hooks.web.rule_page import describe_rule, rule_entries
from cds_hooks.web.site import HEADERS, STATIC_TYPES, Failure, Site, static_file
from models_onnx.artifact.manifest import Manifest
from models_onnx.equations.card import equation_card
from models_onnx.equations.declaration import find_equations

_PAGES_AT_ONCE = 2
"""Forty threads that make pages, as many as there are otherwise, leave the event loop little of the interpreter."""

_NO_MODEL = Failure(
    "No such model", "Not found", "No model of this name is served here.", "The start page lists those there are."
)
_MODEL_OUT = Failure(
    "This model cannot be served",
    "Failed",
    "The files of the model were changed or are missing, so it gives no advice and its service answers with an error.",
    "Tell the operator of this server; /readyz says what is wrong.",
)
_NO_EQUATION = Failure(
    "No such equation", "Not found", "No equation of this name is here.", "The start page lists those there are."
)
_NO_RULE = Failure(
    "No such rule", "Not found", "No medication rule of this name is here.", "The start page lists those there are."
)


_NO_FILE = "There is no such file; the start page lists the models and equations, and each page has its files."


def _shares_in_force(configured: Settings, services: dict[str, Service]) -> dict[str, float]:
    """The share for which the cards of each model are shown, by its id; of several services the largest."""
    found: dict[str, float] = {}
    for asked in (each.of_chart for each in services.values() if each.of_chart is not None):
        for model in asked.loaded:
            share = asked.share_for(model.manifest, site_thresholds(configured))
            found[model.manifest.id] = max(share, found.get(model.manifest.id, 0.0))
    return found


def _by_age(configured: Settings, services: dict[str, Service]) -> frozenset[str]:
    """The models of whose services one at least compares within ages here."""
    site = site_thresholds(configured)
    return frozenset(
        model.manifest.id
        for asked in (each.of_chart for each in services.values() if each.of_chart is not None)
        for model in asked.loaded
        if asked.compares_within_ages(model.manifest, site)
    )


def page_routes(
    configured: Settings,
    services: dict[str, Service],
    components: ServerComponents,
    visitors: OperatorAccess,
    committee: Committee | None = None,
) -> list[Route]:
    """The pages of this server. They run in worker threads, two at a time, so that no hook call waits for one."""
    files = ModelFiles(configured.models_folder)
    clock = format_time(configured.as_of) if configured.as_of else ""
    shares = _shares_in_force(configured, services)
    by_age = _by_age(configured, services)
    site = Site(configured.trust_file is None, configured.alert_share, shares, clock, by_age)

    def start(_: Request) -> Response:
        models = [manifest for name in files.names() if (manifest := files.manifest(name)) is not None]
        return page_answer(start_page(site, services.values(), models, rule_entries(), find_equations().values()))

    absent = {model.name for service in services.values() for model in service.absent_models}

    def model(request: Request) -> Response:
        model_id = request.path_params["model_id"]
        if model_id in absent:
            return failed(site, _MODEL_OUT, 503)
        manifest = files.manifest(model_id)
        if manifest is None:
            return failed(site, _NO_MODEL)
        shapes, later = files.effects(model_id), files.evaluation(model_id)
        card, release, standing = files.card(model_id), files.release(model_id), standing_of(model_id, manifest)
        return page_answer(model_page(site, manifest, card, release, shapes, later, standing))

    def standing_of(model_id: str, manifest: Manifest) -> ModelStanding | None:
        release = files.release(model_id)
        if committee is None or release is None:
            return None
        waivers = (files.card(model_id) or {}).get("product", {}).get("waivers", [])
        return committee.model(release, manifest.title, files.gates(model_id), waivers)

    def models(_: Request) -> Response:
        found = [(name, manifest) for name in files.names() if (manifest := files.manifest(name)) is not None]
        standings = [standing for each in found if (standing := standing_of(*each)) is not None]
        return page_answer(committee.models(standings)) if committee is not None else failed(site, _NO_MODEL)

    def rules(request: Request) -> Response:
        return page_answer(committee.rules(request)) if committee is not None else failed(site, _NO_RULE)

    def model_card(request: Request) -> Response:
        found = files.card_as(request.path_params["model_id"], request.path_params["form"], configured)
        if found is None:
            raise NotFound(_NO_FILE)
        return Response(found[0], media_type=found[1], headers=HEADERS)

    def equation(request: Request) -> Response:
        known = find_equations().get(request.path_params["equation_id"])
        return page_answer(equation_page(site, known)) if known is not None else failed(site, _NO_EQUATION)

    def card_of_equation(request: Request) -> Response:
        equation_id = request.path_params["equation_id"]
        if equation_id not in find_equations():
            raise NotFound(_NO_FILE)
        body = orjson.dumps(equation_card(equation_id), option=orjson.OPT_INDENT_2)
        return Response(body, media_type="application/json", headers=HEADERS)

    def rule(request: Request) -> Response:
        version = all_rule_versions().get(request.path_params["rule_id"])
        if version is None:
            return failed(site, _NO_RULE)
        facts = describe_rule(version, components.governance.site, needs_approval=configured.trust_file is not None)
        return page_answer(rule_page(site, facts, committee.rule(version) if committee is not None else None))

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC_TYPES:
            raise NotFound(_NO_FILE)
        # pages ask for the style sheet with its hash, so a new one has a new address
        headers = {**HEADERS, "cache-control": "public, max-age=86400"}
        return Response(static_file(name), media_type=STATIC_TYPES[name], headers=headers)

    changes = Changes(site, configured.database_url, files)
    pages = {
        "/": start,
        "/models": models,
        "/models/{model_id}": model,
        "/models/{model_id}/changes": changes.model,
        "/models/{model_id}/card.{form}": model_card,
        "/equations/{equation_id}": equation,
        "/equations/{equation_id}/card.json": card_of_equation,
        "/rules": rules,
        "/rules/{rule_id}": rule,
        "/rules/{rule_id}/changes": changes.rule,
        "/static/{name}": static,
    }
    limiter = CapacityLimiter(_PAGES_AT_ONCE)
    explaining = Explaining(configured, services, components, visitors, site, files, limiter)
    return [*(Route(path, on_a_thread(page, limiter)) for path, page in pages.items()), *explaining.routes()]
