"""The addresses of simulations: the list, the form that starts one, its page with progress and result, and its CSV."""

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from anyio import CapacityLimiter, to_thread
from msgspec import structs
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.access.forms import read_form
from cds_hooks.access.roles import DECISION_READERS
from cds_hooks.errors import BadRequest, HookError
from cds_hooks.logs import log
from cds_hooks.pages.answers import refused
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.pages.simulations.runs import Busy, Run, Runs
from cds_hooks.pages.simulations.simulation import Simulation
from cds_hooks.routes.operations import OperatorAccess
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.entries import add_event
from cds_hooks.web.site import HEADERS, SCRIPT_HEADERS, Failure, Site, render, static_version
from cds_hooks.web.visiting import visiting
from models_onnx.artifact.folder import VERSION_SIGN

EVENT: Final = "simulation-started"
"""The kind of the entries of the record that say who tried which change."""

DAYS: Final = (1, 7, 28, 90)
MOST: Final = (100, 500, 2_000)
SHARES: Final = (1, 2, 5, 10, 15, 20, 30)
_CHARTS: Final = (".json", ".json.gz", ".ndjson", ".ndjson.gz")

_OPERATOR_ONLY: Final = Failure(
    "Not for this address",
    "Refused",
    "Without CDS_LOGIN simulations are started and read by the operator of this server only.",
    "Set CDS_LOGIN (docs/operations/access.md), or open the page at CDS_OPERATOR_LISTEN.",
)
_NO_SIMULATION: Final = Failure(
    "No such simulation",
    "Not found",
    "There is no simulation of this id here. Results are kept for four weeks, on the machine that computed them.",
    "Open /simulations: it lists those there are.",
)
_NO_FOLDER: Final = Failure(
    "The simulation cannot be started",
    "Failed",
    "The folder in which results are kept cannot be written.",
    "It is var/simulations; tell the operator of this server.",
)
_AWAY: Final = Failure(
    "The record cannot be written",
    "Failed",
    "Who starts a simulation is recorded, and the record does not answer at the moment. Nothing was started.",
    "Try again in a minute. If it stays so, tell the operator of this server.",
)


class Simulations:
    """The pages of one server."""

    def __init__(
        self, configured: Settings, visitors: OperatorAccess, site: Site, shows_cards: Callable[[str], bool]
    ) -> None:
        """`shows_cards` says of a rule whether it shows its cards here now, at least to some."""
        self._shows_cards = shows_cards
        self._configured = configured
        self._visitors = visitors
        self._site = site
        self._runs = Runs(configured.simulations_folder)
        self._files = ModelFiles(configured.models_folder)
        self._limiter = CapacityLimiter(1)

    def routes(self) -> list[Route]:
        """The addresses."""
        return [
            Route("/simulations", self.all, methods=["GET", "POST"]),
            Route("/simulations/{run_id}.csv", self.csv),
            Route("/simulations/{run_id}", self.one, methods=["GET", "POST"]),
        ]

    async def all(self, request: Request) -> Response:
        """The list with the form for a new simulation; a posted form starts one."""
        if not self._visitors.may_see_metrics(request):
            return refused(self._site, request, _OPERATOR_ONLY, 403)
        if request.method != "POST":
            asked = dict(request.query_params)
            return await to_thread.run_sync(self._list, asked, "", 200, limiter=self._limiter)
        fields: Mapping[str, str] = {}
        try:
            fields = await read_form(request)
            return await to_thread.run_sync(self._start, request, fields, limiter=self._limiter)
        except HookError as fault:
            return await to_thread.run_sync(self._list, fields, fault.text, fault.status, limiter=self._limiter)

    async def one(self, request: Request) -> Response:
        """One simulation; a posted form stops it."""
        if not self._visitors.may_see_metrics(request):
            return refused(self._site, request, _OPERATOR_ONLY, 403)
        if request.method == "POST":
            try:
                await read_form(request)
            except HookError as fault:
                failure = Failure("The form cannot be used", "Refused", fault.text, "Open the page again.")
                return refused(self._site, request, failure, fault.status)
            self._runs.ask_to_stop(request.path_params["run_id"])
            return RedirectResponse(request.path_params["run_id"], 303, HEADERS)
        return await to_thread.run_sync(self._one, request, limiter=self._limiter)

    async def csv(self, request: Request) -> Response:
        """The counts of one simulation as a file."""
        if not self._visitors.may_see_metrics(request):
            return refused(self._site, request, _OPERATOR_ONLY, 403)
        run = await to_thread.run_sync(self._runs.get, request.path_params["run_id"])
        if run is None or run.result is None:
            return refused(self._site, request, _NO_SIMULATION, 404)
        name = {"content-disposition": f'attachment; filename="simulation-{run.id[:8]}.csv"'}
        return Response(as_csv(run), headers=HEADERS | name, media_type="text/csv; charset=utf-8")

    def _list(self, fields: Mapping[str, str], problem: str, status: int) -> Response:
        kind, name = fields.get("kind", ""), fields.get("name", "")
        chosen = self._chosen(kind, name)
        body = render(
            "simulations/simulations.html",
            site=self._site,
            root="",
            runs=self._runs.all(),
            chosen=chosen,
            folders=sorted(self._folders()) if kind == "rule" else [],
            has_charts=self._configured.simulation_charts.is_dir(),
            versions=self._versions(name) if kind == "model" else [],
            fields=self._with_default(chosen, fields),
            problem=problem,
            days=DAYS,
            most=MOST,
            shares=SHARES,
        )
        return _page(body, status)

    def _with_default(self, chosen: tuple[str, str, str] | None, fields: Mapping[str, str]) -> Mapping[str, str]:
        """The fields of the form; a rule that is not shown here is tried shown, where nothing else was asked."""
        if chosen is None or chosen[0] != "rule" or "change" in fields:
            return fields
        return {**fields, "change": "off" if self._shows_cards(chosen[1]) else "speaks"}

    def _chosen(self, kind: str, name: str) -> tuple[str, str, str] | None:
        """Kind, id and title of what is to be tried; None where there is nothing of that name."""
        if kind == "rule" and (version := all_rule_versions().get(name)) is not None:
            return kind, name, version.rule.title
        if kind == "model" and VERSION_SIGN not in name and (manifest := self._files.manifest(name)) is not None:
            return kind, name, manifest.title
        return None

    def _versions(self, model: str) -> list[str]:
        return [name for name in self._files.versions(model) if self._files.manifest(name) is not None]

    def _folders(self) -> dict[str, Path]:
        """The folders of charts that may be chosen, by name: those below var/charts."""
        above = self._configured.simulation_charts
        try:
            return {path.name: path for path in above.iterdir() if path.is_dir()}
        except OSError:
            return {}

    def _start(self, request: Request, fields: Mapping[str, str]) -> Response:
        simulation = self._simulation(fields)
        charts = self._folders().get(simulation.folder)
        visitor = visiting().visitor
        by = visitor.actor if visitor is not None else "operator"
        detail = {
            "what": f"{simulation.kind} {simulation.name}",
            "change": simulation.change_words,
            "on": simulation.source_words,
        }
        try:
            if self._runs.is_busy():
                raise Busy
            add_event(self._configured.database_url, EVENT, by, detail)
            run = self._runs.start(self._configured, simulation, by, charts)
        except Busy:
            text = "another simulation is running; wait until it has ended, or stop it on its page"
            return self._list(fields, text, 409)
        except RecordUnavailable:
            log().error("record away", status=503)
            return refused(self._site, request, _AWAY, 503)
        except OSError as fault:
            log().error("simulation not started", status=503, error_type=type(fault).__name__)
            return refused(self._site, request, _NO_FOLDER, 503)
        log().info("simulation started", reason=simulation.change)
        return RedirectResponse(f"simulations/{run.id}", 303, HEADERS)

    def _simulation(self, fields: Mapping[str, str]) -> Simulation:
        """What the form asks for.

        Raises:
            BadRequest: It asks for something that is not offered.
        """
        chosen = self._chosen(fields.get("kind", ""), fields.get("name", ""))
        if chosen is None:
            raise BadRequest("there is no rule and no model of this name here; choose it on its own page")
        change, _, value = fields.get("change", "").partition(":")
        offered = ("speaks", "off") if chosen[0] == "rule" else ("version", "share")
        is_known = (
            value in self._versions(chosen[1])
            if change == "version"
            else value in map(str, SHARES)
            if change == "share"
            else not value
        )
        if change not in offered or not is_known:
            raise BadRequest("this change is not offered; choose one of those of the list")
        source, _, what = fields.get("on", "").partition(":")
        most = fields.get("most", "")
        if most not in map(str, MOST):
            raise BadRequest("this number is not offered; choose one of those of the list")
        simulation = Simulation(*chosen, change, int(most), value)  # type: ignore[arg-type]  # both are of the lists above
        if source == "record" and what in map(str, DAYS):
            return structs.replace(simulation, days=int(what))
        folder = self._folders().get(what) if source == "charts" and simulation.kind == "rule" else None
        if folder is None:
            raise BadRequest("these decisions or charts are not offered; choose some of the list")
        if not any(path.name.endswith(_CHARTS) for path in folder.rglob("*")):
            raise BadRequest(f"the folder {what[:100]} holds no charts (FHIR Bundles .json or .ndjson)")
        return structs.replace(simulation, folder=what)

    def _one(self, request: Request) -> Response:
        run = self._runs.get(request.path_params["run_id"])
        if run is None:
            return refused(self._site, request, _NO_SIMULATION, 404)
        visitor = visiting().visitor
        body = render(
            "simulations/simulation.html",
            site=self._site,
            root="../",
            run=run,
            sees_patients=visitor is None or not DECISION_READERS.isdisjoint(visitor.roles),
            script=static_version("simulation.js"),
        )
        return _page(body, headers=SCRIPT_HEADERS)


def _page(body: str, status: int = 200, headers: Mapping[str, str] = HEADERS) -> Response:
    return Response(body.encode("utf-8", "replace"), status, headers, media_type="text/html")


def as_csv(run: Run) -> bytes:
    """The counts of a simulation; what a spreadsheet would take for a formula is text."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["by", "name", "judged", "with a card now", "with a card after the change"])
    for by, name, counts in run.result.rows() if run.result is not None else ():
        said = f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name
        writer.writerow([by, said, counts.judged, counts.before, counts.after])
    return out.getvalue().encode()
