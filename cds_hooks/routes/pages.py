"""Pages for people: the start page, why a decision was as it was, what a model is for."""

import re
from functools import cache

import msgspec
import orjson
from fastapi import APIRouter, Request, Response

from cards.rules.engine import rule_book
from cards.rules.governance import every_version
from cards.rules.rule import Evidence
from cds_hooks.governance import Governance
from cds_hooks.logs import log
from cds_hooks.routes.model_cards import card_as, card_of_model, release_of_model
from cds_hooks.routes.visitors import Visitors
from cds_hooks.service import Service
from cds_hooks.settings import Settings
from cds_hooks.storage import RecordUnavailable, decision_of
from cds_hooks.storage.reading import get_decision
from cds_hooks.web.explanation import explain
from cds_hooks.web.numbers import moment
from cds_hooks.web.pages import (
    HEADERS,
    STATIC_TYPES,
    Failure,
    Site,
    equation_page,
    explanation_page,
    failure_page,
    model_page,
    rule_page,
    start_page,
    static_file,
)
from cds_hooks.web.rule_facts import rule_entries, rule_facts
from models_onnx.artifact import read_manifest
from models_onnx.calculation.finding import find_equations
from models_onnx.errors import ModelError
from models_onnx.evidence_cards import equation_card
from models_onnx.manifest import Manifest
from models_onnx.registry import ARTIFACTS, model_ids

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
_NO_MODEL = Failure(
    "No such model", "Not found", "No model of this name is served here.", "The start page lists those there are."
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


def page_routes(
    configured: Settings, services: dict[str, Service], governance: Governance, visitors: Visitors
) -> APIRouter:
    """The pages of this server. They run in worker threads, so that no hook call waits for one."""
    router = APIRouter()
    clock = moment(configured.as_of) if configured.as_of else ""
    site = Site(development=configured.trust_file is None, alert_share=configured.alert_share, clock=clock)

    @router.get("/")
    def start() -> Response:
        models = [manifest for name in model_ids() if (manifest := manifest_of(name)) is not None]
        return _page(start_page(site, services.values(), models, rule_entries(), find_equations().values()))

    @router.get("/explain/{decision_id}")
    def explanation(decision_id: str, request: Request) -> Response:
        if not visitors.may_see_decisions(request):
            return _page(failure_page(site, _OPERATOR_ONLY), 403)
        status, body = _explanation(decision_id, configured.database_url, services, site)
        return _page(body, status)

    @router.get("/models/{model_id}")
    def model(model_id: str) -> Response:
        manifest = manifest_of(model_id)
        if manifest is None:
            return _page(failure_page(site, _NO_MODEL), 404)
        return _page(model_page(site, manifest, card_of_model(model_id), release_of_model(model_id)))

    @router.get("/models/{model_id}/card.{form}")
    def model_card(model_id: str, form: str) -> Response:
        found = card_as(model_id, form, configured)
        if found is None:
            return Response(status_code=404)
        return Response(found[0], media_type=found[1], headers=HEADERS)

    @router.get("/equations/{equation_id}")
    def equation(equation_id: str) -> Response:
        known = find_equations().get(equation_id)
        return _page(equation_page(site, known)) if known is not None else _page(failure_page(site, _NO_EQUATION), 404)

    @router.get("/equations/{equation_id}/card.json")
    def card_of_equation(equation_id: str) -> Response:
        if equation_id not in find_equations():
            return Response(status_code=404)
        body = orjson.dumps(equation_card(equation_id), option=orjson.OPT_INDENT_2)
        return Response(body, media_type="application/json", headers=HEADERS)

    @router.get("/rules/{rule_id}")
    def rule(rule_id: str) -> Response:
        version = every_version().get(rule_id)
        if version is None:
            return _page(failure_page(site, _NO_RULE), 404)
        facts = rule_facts(version, governance.site, needs_approval=configured.trust_file is not None)
        return _page(rule_page(site, facts))

    @router.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in STATIC_TYPES:
            return Response(status_code=404)
        # pages ask for the style sheet with its hash, so a new one has a new address
        headers = {**HEADERS, "cache-control": "public, max-age=86400"}
        return Response(static_file(name), media_type=STATIC_TYPES[name], headers=headers)

    return router


def _explanation(decision_id: str, url: str, services: dict[str, Service], site: Site) -> tuple[int, str]:
    known = decision_of(decision_id) if _UUID.fullmatch(decision_id) else None
    try:
        decision = get_decision(url, known) if known is not None else None
        if decision is None:
            return 404, failure_page(site, _NO_DECISION)
        service = services.get(decision.service)
        title = service.title if service is not None else decision.service
        return 200, explanation_page(site, explain(decision, title, manifest_of, evidence_of))
    except RecordUnavailable:
        log().error("record away", status=503)
        return 503, failure_page(site, _AWAY)
    except msgspec.MsgspecError as error:
        log().error("record in another form", status=500, error_type=type(error).__name__)
        return 500, failure_page(site, _OTHER_FORM)


def manifest_of(model_id: str) -> Manifest | None:
    """The manifest of a model that is served here; None for any other name."""
    return _manifest(model_id) if model_id in model_ids() else None


@cache
def _manifest(model_id: str) -> Manifest | None:
    try:
        return read_manifest(ARTIFACTS / model_id)
    except ModelError as error:
        log().error("manifest refused", error_type=type(error).__name__)
        return None


def evidence_of(rule_id: str) -> tuple[Evidence, ...]:
    """The documents behind a rule, as its table names them now; none for a rule that is gone."""
    return next((tuple(rule.declared.evidence) for rule in rule_book().rules if rule.id == rule_id), ())


def _page(body: str, status: int = 200) -> Response:
    return Response(body, status_code=status, media_type="text/html", headers=HEADERS)
