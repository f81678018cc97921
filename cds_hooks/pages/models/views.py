"""Pages for people: the start page, models, equations, rules."""

from collections.abc import Iterator

import orjson
from anyio import CapacityLimiter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.answer.call import ServerComponents
from cds_hooks.errors import NotFound
from cds_hooks.pages.answers import failed, on_a_thread, page_answer
from cds_hooks.pages.committee.changes import Changes
from cds_hooks.pages.committee.standing import Committee
from cds_hooks.pages.committee.tables import ModelStanding
from cds_hooks.pages.explain.views import Explaining
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.pages.models.rendering import equation_page, model_page, rule_page, start_page
from cds_hooks.pages.rules.description import describe_rule, rule_entries
from cds_hooks.routes.operations import OperatorAccess
from cds_hooks.services import Service
from cds_hooks.services._model import site_thresholds
from cds_hooks.settings import Settings
from cds_hooks.web.numbers import format_time
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


class Pages:
    """The pages of what this server offers; they run in worker threads, two at a time, so that no hook call waits."""

    def __init__(
        self,
        configured: Settings,
        services: dict[str, Service],
        components: ServerComponents,
        visitors: OperatorAccess,
        committee: Committee,
    ) -> None:
        """Reads nothing yet but what is in force here for each model."""
        clock = format_time(configured.as_of) if configured.as_of else ""
        shares = _shares_in_force(configured, services)
        self._site = Site(
            configured.trust_file is None, configured.share_of_all_models, shares, clock, _by_age(configured, services)
        )
        self._configured = configured
        self._services = services
        self._components = components
        self._visitors = visitors
        self._committee = committee
        self._files = ModelFiles(configured.models_folder)
        self._absent = {model.name for service in services.values() for model in service.absent_models}

    def routes(self) -> list[Route]:
        """The addresses of these pages, and those of single decisions."""
        changes = Changes(self._site, self._configured.database_url, self._files)
        pages = {
            "/": self.start,
            "/models": self.models,
            "/models/{model_id}": self.model,
            "/models/{model_id}/changes": changes.model,
            "/models/{model_id}/card.{form}": self.model_card,
            "/equations/{equation_id}": self.equation,
            "/equations/{equation_id}/card.json": self.equation_card,
            "/rules": self.rules,
            "/rules/{rule_id}": self.rule,
            "/rules/{rule_id}/changes": changes.rule,
            "/static/{name}": self.static,
        }
        limiter = CapacityLimiter(_PAGES_AT_ONCE)
        explaining = Explaining(
            self._configured, self._services, self._components, self._visitors, self._site, self._files, limiter
        )
        return [*(Route(path, on_a_thread(page, limiter)) for path, page in pages.items()), *explaining.routes()]

    def start(self, _: Request) -> Response:
        """The start page: services, models, equations and rules."""
        models = [manifest for _, manifest in self._manifests()]
        equations = find_equations().values()
        return page_answer(start_page(self._site, self._services.values(), models, rule_entries(), equations))

    def models(self, _: Request) -> Response:
        """The models with their state, for a committee."""
        standings = [standing for each in self._manifests() if (standing := self._standing_of(*each)) is not None]
        return page_answer(self._committee.models(standings))

    def model(self, request: Request) -> Response:
        """A model: what it is for, how it was tested, and its standing here."""
        model_id = request.path_params["model_id"]
        if model_id in self._absent:
            return failed(self._site, _MODEL_OUT, 503)
        manifest = self._files.manifest(model_id)
        if manifest is None:
            return failed(self._site, _NO_MODEL)
        shapes, later = self._files.effects(model_id), self._files.evaluation(model_id)
        card, release = self._files.card(model_id), self._files.release(model_id)
        standing = self._standing_of(model_id, manifest)
        return page_answer(model_page(self._site, manifest, card, release, shapes, later, standing))

    def model_card(self, request: Request) -> Response:
        """The card of a model in the form that the address names."""
        found = self._files.card_as(request.path_params["model_id"], request.path_params["form"], self._configured)
        if found is None:
            raise NotFound(_NO_FILE)
        return Response(found[0], media_type=found[1], headers=HEADERS)

    def equation(self, request: Request) -> Response:
        """A published equation: its inputs, limits and source."""
        known = find_equations().get(request.path_params["equation_id"])
        return page_answer(equation_page(self._site, known)) if known is not None else failed(self._site, _NO_EQUATION)

    def equation_card(self, request: Request) -> Response:
        """The same as JSON."""
        equation_id = request.path_params["equation_id"]
        if equation_id not in find_equations():
            raise NotFound(_NO_FILE)
        body = orjson.dumps(equation_card(equation_id), option=orjson.OPT_INDENT_2)
        return Response(body, media_type="application/json", headers=HEADERS)

    def rules(self, request: Request) -> Response:
        """The rules with their state, for a committee."""
        return page_answer(self._committee.rules(request))

    def rule(self, request: Request) -> Response:
        """A rule: what it is about, its bands, its sources, and its standing here."""
        version = all_rule_versions().get(request.path_params["rule_id"])
        if version is None:
            return failed(self._site, _NO_RULE)
        needs_approval = self._configured.trust_file is not None
        facts = describe_rule(version, self._components.governance.site, needs_approval=needs_approval)
        return page_answer(rule_page(self._site, facts, self._committee.rule(version)))

    def static(self, request: Request) -> Response:
        """A style sheet, script or icon."""
        name = request.path_params["name"]
        if name not in STATIC_TYPES:
            raise NotFound(_NO_FILE)
        # pages ask for the style sheet with its hash, so a new one has a new address
        headers = {**HEADERS, "cache-control": "public, max-age=86400"}
        return Response(static_file(name), media_type=STATIC_TYPES[name], headers=headers)

    def _manifests(self) -> Iterator[tuple[str, Manifest]]:
        for name in self._files.names():
            if (manifest := self._files.manifest(name)) is not None:
                yield name, manifest

    def _standing_of(self, model_id: str, manifest: Manifest) -> ModelStanding | None:
        release = self._files.release(model_id)
        if release is None:
            return None
        waivers = (self._files.card(model_id) or {}).get("product", {}).get("waivers", [])
        return self._committee.model(release, manifest.title, self._files.gates(model_id), waivers)
