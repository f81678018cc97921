"""Pages for people: the start page, decisions, models, equations, rules."""

import re
from collections.abc import Callable
from itertools import islice
from typing import Any

import msgspec
import orjson
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.errors import CALL_ID, NotFound
from cds_hooks.governance import Governance
from cds_hooks.logs import log
from cds_hooks.routes.committee import Committee
from cds_hooks.routes.operations import OperatorAccess
from cds_hooks.services import Service
from cds_hooks.services._model import site_thresholds
from cds_hooks.settings import Settings
from cds_hooks.storage import Decision, RecordUnavailable, decision_of
from cds_hooks.storage.decision import new_decision_id
from cds_hooks.storage.queries import DecisionFilter, find_decisions, get_decision
from cds_hooks.web.committee import ModelStanding
from cds_hooks.web.decision_page import Explanation, explain
from cds_hooks.web.model_files import ModelFiles, evidence_of
from cds_hooks.web.moves import EarlierEstimate, Move, earlier_estimates, missing_moves
from cds_hooks.web.numbers import format_time
from cds_hooks.web.pages import (
    HEADERS,
    STATIC_TYPES,
    Failure,
    Site,
    equation_page,
    explanation_page,
    failure_page,
    model_page,
    patient_page,
    rule_page,
    start_page,
    static_file,
)
from cds_hooks.web.recorded_decision import read_basis
from cds_hooks.web.rule_page import describe_rule, rule_entries
from cds_hooks.web.visiting import PatientBound, visiting
from models_onnx.artifact.manifest import Manifest
from models_onnx.equations.card import equation_card
from models_onnx.equations.declaration import find_equations

_ANSWERS = 50
_EARLIER = 12
_PAGES_AT_ONCE = 2
"""Forty threads that make pages, as many as there are otherwise, leave the event loop little of the interpreter."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_NO_DECISION = Failure(
    "No such page",
    "Not found",
    "There is no decision of this number on record here.",
    "Open the page from its card again. If the card is from another server or an older record, ask its operator.",
)
_OPERATOR_ONLY = Failure(
    "Not for this address",
    "Refused",
    "Why a decision was as it was is shown to the operator of this server only.",
    "Ask the operator. The card in the chart says what it rests on.",
)
_OTHER_PATIENT = Failure(
    "Of another patient",
    "Refused",
    "This page is about another patient than the one whose chart is open, so nothing of it is shown.",
    "Open the app from the chart of that patient.",
)
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
_AWAY = Failure(
    "The record cannot be read",
    "Failed",
    "The record of decisions does not answer at the moment. Nothing was changed.",
    "Try again in a minute. If it stays so, tell the operator of this server.",
)
_OTHER_FORM = Failure(
    "This record cannot be shown",
    "Failed",
    "The decision is on record, but in a form that this version of the server does not read.",
    "Tell the operator of this server. The card in the chart is not affected.",
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
    governance: Governance,
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
        return _page(start_page(site, services.values(), models, rule_entries(), find_equations().values()))

    def explanation(request: Request) -> Response:
        if not visitors.may_ask_why(request):
            return _failed(site, _OPERATOR_ONLY, 403)
        return _explanation(request.path_params["decision_id"], configured.database_url, services, site, files)

    def of_patient(_: Request) -> Response:
        visitor = visiting().visitor
        if visitor is None or visitor.bound is None:
            return _failed(site, _NO_DECISION)
        return _of_patient(visitor.bound, configured.database_url, services, site)

    absent = {model.name for service in services.values() for model in service.absent_models}

    def model(request: Request) -> Response:
        model_id = request.path_params["model_id"]
        if model_id in absent:
            return _failed(site, _MODEL_OUT, 503)
        manifest = files.manifest(model_id)
        if manifest is None:
            return _failed(site, _NO_MODEL)
        shapes, later = files.effects(model_id), files.evaluation(model_id)
        card, release, standing = files.card(model_id), files.release(model_id), standing_of(model_id, manifest)
        return _page(model_page(site, manifest, card, release, shapes, later, standing))

    def standing_of(model_id: str, manifest: Manifest) -> ModelStanding | None:
        release = files.release(model_id)
        if committee is None or release is None:
            return None
        waivers = (files.card(model_id) or {}).get("product", {}).get("waivers", [])
        return committee.model(release, manifest.title, files.gates(model_id), waivers)

    def models(_: Request) -> Response:
        found = [(name, manifest) for name in files.names() if (manifest := files.manifest(name)) is not None]
        standings = [standing for each in found if (standing := standing_of(*each)) is not None]
        return _page(committee.models(standings)) if committee is not None else _failed(site, _NO_MODEL)

    def rules(request: Request) -> Response:
        return _page(committee.rules(request)) if committee is not None else _failed(site, _NO_RULE)

    def model_card(request: Request) -> Response:
        found = files.card_as(request.path_params["model_id"], request.path_params["form"], configured)
        if found is None:
            raise NotFound(_NO_FILE)
        return Response(found[0], media_type=found[1], headers=HEADERS)

    def equation(request: Request) -> Response:
        known = find_equations().get(request.path_params["equation_id"])
        return _page(equation_page(site, known)) if known is not None else _failed(site, _NO_EQUATION)

    def card_of_equation(request: Request) -> Response:
        equation_id = request.path_params["equation_id"]
        if equation_id not in find_equations():
            raise NotFound(_NO_FILE)
        body = orjson.dumps(equation_card(equation_id), option=orjson.OPT_INDENT_2)
        return Response(body, media_type="application/json", headers=HEADERS)

    def rule(request: Request) -> Response:
        version = all_rule_versions().get(request.path_params["rule_id"])
        if version is None:
            return _failed(site, _NO_RULE)
        facts = describe_rule(version, governance.site, needs_approval=configured.trust_file is not None)
        return _page(rule_page(site, facts, committee.rule(version) if committee is not None else None))

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC_TYPES:
            raise NotFound(_NO_FILE)
        # pages ask for the style sheet with its hash, so a new one has a new address
        headers = {**HEADERS, "cache-control": "public, max-age=86400"}
        return Response(static_file(name), media_type=STATIC_TYPES[name], headers=headers)

    pages = {
        "/": start,
        "/explain": of_patient,
        "/explain/{decision_id}": explanation,
        "/models": models,
        "/models/{model_id}": model,
        "/models/{model_id}/card.{form}": model_card,
        "/equations/{equation_id}": equation,
        "/equations/{equation_id}/card.json": card_of_equation,
        "/rules": rules,
        "/rules/{rule_id}": rule,
        "/static/{name}": static,
    }
    limiter = CapacityLimiter(_PAGES_AT_ONCE)
    return [Route(path, _on_a_thread(page, limiter)) for path, page in pages.items()]


def _on_a_thread(page: Callable[[Request], Response], limiter: CapacityLimiter) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        return await to_thread.run_sync(page, request, limiter=limiter)

    return answer


def _explanation(decision_id: str, url: str, services: dict[str, Service], site: Site, files: ModelFiles) -> Response:
    known = decision_of(decision_id) if _UUID.fullmatch(decision_id) else None
    try:
        decision = get_decision(url, known) if known is not None else None
        if decision is None:
            return _failed(site, _NO_DECISION)
        visitor = visiting().visitor
        if visitor is not None and not visitor.may_see(decision.client, decision.patient):
            return _failed(site, _OTHER_PATIENT, 403)
        service = services.get(decision.service)
        title = service.title if service is not None else decision.service
        explained = explain(decision, title, files.manifest, evidence_of)
        return _page(explanation_page(site, explained, *_around(decision, explained, url, files)))
    except RecordUnavailable:
        log().error("record away", status=503)
        return _failed(site, _AWAY, 503)
    except msgspec.MsgspecError as error:
        log().error("record in another form", status=500, error_type=type(error).__name__)
        return _failed(site, _OTHER_FORM, 500)


def _around(
    decision: Decision, explained: Explanation, url: str, files: ModelFiles
) -> tuple[list[Move], list[EarlierEstimate]]:
    """How far missing inputs could move the estimate of a decision, and the estimates before it; empty without one."""
    estimate, model = explained.estimate, explained.model
    if estimate is None or model is None:
        return [], []
    loaded = files.model(model.id) if explained.manifest is not None and explained.gaps else None
    moves = missing_moves(loaded, read_basis(decision), estimate.scores) if loaded is not None else []
    wanted = DecisionFilter(
        service=decision.service, client=decision.client, patient=decision.patient, until=decision.decided_at
    )
    before = list(islice(find_decisions(url, wanted, _EARLIER), _EARLIER)) if decision.patient else []
    return moves, earlier_estimates(before, model.id)


def _of_patient(bound: PatientBound, url: str, services: dict[str, Service], site: Site) -> Response:
    wanted = DecisionFilter(client=bound.client, patient=bound.patient)
    try:
        found = list(islice(find_decisions(url, wanted, _ANSWERS), _ANSWERS))
    except RecordUnavailable:
        log().error("record away", status=503)
        return _failed(site, _AWAY, 503)
    titles = {name: service.title for name, service in services.items()}
    return _page(patient_page(site, bound.patient, found, titles))


def _failed(site: Site, failure: Failure, status: int = 404) -> Response:
    """The page of a refusal, with the id under which the operator's log has it."""
    call_id = new_decision_id()
    log().info("call refused", status=status, reason=failure.title, decision=call_id)
    page = _page(failure_page(site, failure, call_id), status)
    page.headers[CALL_ID.decode()] = call_id
    return page


def _page(body: str, status: int = 200) -> Response:
    return Response(body, status_code=status, media_type="text/html", headers=HEADERS)
