"""The addresses of simulations: the list, the form that starts one, its page with progress and result, and its CSV."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from anyio import CapacityLimiter
from msgspec import structs
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.access.roles import DECISION_READERS
from cds_hooks.errors import BadRequest
from cds_hooks.logs import log
from cds_hooks.pages.server import PageServer
from cds_hooks.pages.simulations.runs import Busy, Run, Runs
from cds_hooks.pages.simulations.simulation import Simulation
from cds_hooks.storage.entries import add_event
from cds_hooks.web.files import csv_download
from cds_hooks.web.site import HEADERS, SCRIPT_HEADERS, Failure, Refusal, static_version
from cds_hooks.web.visitor import visiting
from models_onnx.artifact.folder import VERSION_SIGN

EVENT: Final = "simulation-started"
"""The kind of the entries of the record that say who tried which change."""

DAYS: Final = (1, 7, 28, 90)
MOST: Final = (100, 500, 2_000)
SHARES: Final = (1, 2, 5, 10, 15, 20, 30)
_CHARTS: Final = (".json", ".json.gz", ".ndjson", ".ndjson.gz")

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


class _Simulations:
    """The pages of one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._settings = server.settings
        self._runs = Runs(server.settings.simulations_folder)
        self._files = server.files

    def show_all(self, request: Request) -> Response:
        """Show the list with the form for a new simulation; a posted form starts one."""
        if request.method != "POST":
            return self._list(request.query_params)
        try:
            return self._start(request.state.form)
        except BadRequest as fault:
            return self._list(request.state.form, fault.text, fault.status)

    def show(self, request: Request) -> Response:
        """Show one simulation; a posted form stops it."""
        run_id = request.path_params["run_id"]
        if request.method == "POST":
            self._runs.ask_to_stop(run_id)
            return RedirectResponse(run_id, 303, HEADERS)
        visitor = visiting().visitor
        return self._server.page(
            "simulations/simulation.html",
            headers=SCRIPT_HEADERS,
            run=self._run(run_id),
            sees_patients=visitor is None or not DECISION_READERS.isdisjoint(visitor.roles),
            script=static_version("simulation.js"),
        )

    def csv(self, request: Request) -> Response:
        """Send the counts of one simulation as a file."""
        run = self._run(request.path_params["run_id"])
        if run.result is None:
            raise Refusal(_NO_SIMULATION)
        head = ("by", "name", "judged", "with a card now", "with a card after the change")
        rows = [(by, name, counts.judged, counts.before, counts.after) for by, name, counts in run.result.rows()]
        return csv_download(f"simulation-{run.id[:8]}", [head, *rows])

    def _run(self, run_id: str) -> Run:
        run = self._runs.get(run_id)
        if run is None:
            raise Refusal(_NO_SIMULATION)
        return run

    def _list(self, fields: Mapping[str, str], problem: str = "", status: int = 200) -> Response:
        kind, name = fields.get("kind", ""), fields.get("name", "")
        chosen = self._chosen(kind, name)
        return self._server.page(
            "simulations/simulations.html",
            status=status,
            runs=self._runs.all(),
            chosen=chosen,
            folders=sorted(self._folders()) if kind == "rule" else [],
            has_charts=self._settings.simulation_charts.is_dir(),
            versions=self._versions(name) if kind == "model" else [],
            fields=self._with_default(chosen, fields),
            problem=problem,
            days=DAYS,
            most=MOST,
            shares=SHARES,
        )

    def _with_default(self, chosen: tuple[str, str, str] | None, fields: Mapping[str, str]) -> Mapping[str, str]:
        """Return the fields of the form; a rule that is not shown here is tried shown, where nothing else was asked."""
        if chosen is None or chosen[0] != "rule" or "change" in fields:
            return fields
        return {**fields, "change": "off" if self._server.committee.shows_cards(chosen[1]) else "speaks"}

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
        """Return the folders of charts that may be chosen, by name: those below var/charts."""
        above = self._settings.simulation_charts
        try:
            return {path.name: path for path in above.iterdir() if path.is_dir()}
        except OSError:
            return {}

    def _start(self, fields: Mapping[str, str]) -> Response:
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
            add_event(self._settings.database_url, EVENT, by, detail)
            run = self._runs.start(self._settings, simulation, by, charts)
        except Busy:
            text = "another simulation is running; wait until it has ended, or stop it on its page"
            return self._list(fields, text, 409)
        except OSError as fault:
            log().error("simulation not started", status=503, error_type=type(fault).__name__)
            raise Refusal(_NO_FOLDER, 503) from fault
        log().info("simulation started", reason=simulation.change)
        return RedirectResponse(f"simulations/{run.id}", 303, HEADERS)

    def _simulation(self, fields: Mapping[str, str]) -> Simulation:
        """Return what the form asks for.

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
        source, _, source_name = fields.get("on", "").partition(":")
        most = fields.get("most", "")
        if most not in map(str, MOST):
            raise BadRequest("this number is not offered; choose one of those of the list")
        simulation = Simulation(*chosen, change, int(most), value)  # type: ignore[arg-type]  # both are of the lists above
        if source == "record" and source_name in map(str, DAYS):
            return structs.replace(simulation, days=int(source_name))
        folder = self._folders().get(source_name) if source == "charts" and simulation.kind == "rule" else None
        if folder is None:
            raise BadRequest("these decisions or charts are not offered; choose some of the list")
        if not any(path.name.endswith(_CHARTS) for path in folder.rglob("*")):
            raise BadRequest(f"the folder {source_name[:100]} holds no charts (FHIR Bundles .json or .ndjson)")
        return structs.replace(simulation, folder=source_name)


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of simulations."""
    pages = _Simulations(server)
    limiter = CapacityLimiter(1)
    return [
        server.route("/simulations", pages.show_all, ["GET", "POST"], limiter=limiter),
        server.route("/simulations/{run_id}.csv", pages.csv),
        server.route("/simulations/{run_id}", pages.show, ["GET", "POST"], limiter=limiter),
    ]
