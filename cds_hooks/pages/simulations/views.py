"""The page /simulations: the form that tries a change, its answer, and the reports of longer trials."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from anyio import CapacityLimiter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.access.roles import DECISION_READERS
from cds_hooks.errors import BadRequest
from cds_hooks.hold_back.rules_file import RulesFileError
from cds_hooks.logs import log
from cds_hooks.pages.server import PageServer
from cds_hooks.pages.simulations.trial import Trial, run_trial
from cds_hooks.replay.candidates import NoCandidate, Report
from cds_hooks.storage.entries import add_event
from cds_hooks.web.site import Failure, Refusal
from cds_hooks.web.visitor import visiting
from models_onnx.artifact.folder import VERSION_SIGN
from models_onnx.errors import ArtifactRefused, UnknownModel

EVENT: Final = "simulation-started"
"""The kind of the entries of the record that say who tried which change."""

MOST: Final = (100, 500, 2_000)
SHARES: Final = (1, 2, 5, 10, 15, 20, 30)
_REPORT: Final = ".json"
_LARGEST_REPORT: Final = 10_000_000
_UNUSABLE: Final = (NoCandidate, UnknownModel, ArtifactRefused, RulesFileError)
"""What says in a sentence what cannot be used, with nothing of a patient in it."""

_NO_REPORT: Final = Failure(
    "No such report",
    "Not found",
    "There is no report of this name in the folder of simulations, or it is not one of a replay.",
    "Open /simulations: it lists those there are.",
)


class _Simulations:
    """The pages of one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._settings = server.settings
        self._files = server.files

    def show(self, request: Request) -> Response:
        """Show the form and the reports; a posted form is computed first."""
        if request.method != "POST":
            return self._page(request.query_params)
        fields = request.state.form
        try:
            trial = self._trial(fields)
            self._record(trial)
            outcome = run_trial(self._settings, trial)
        except BadRequest as fault:
            return self._page(fields, problem=fault.text, status=fault.status)
        except _UNUSABLE as fault:
            return self._page(fields, problem=str(fault).removesuffix("."), status=409)
        return self._page(fields, outcome=outcome, report=outcome.report)

    def show_report(self, request: Request) -> Response:
        """Show the report of a longer trial."""
        name = request.path_params["name"]
        path = next((path for path in self._reports() if path.stem == name), None)
        try:
            content = path.read_bytes() if path is not None and path.stat().st_size < _LARGEST_REPORT else b""
            report = msgspec.json.decode(content, type=Report, dec_hook=lambda _, counts: Counter(counts))
        except (OSError, msgspec.MsgspecError) as fault:
            raise Refusal(_NO_REPORT) from fault
        return self._page({}, report=report, name=name)

    def _page(self, fields: Mapping[str, str], status: int = 200, **shown: Any) -> Response:
        chosen, visitor = self._chosen(fields.get("kind", ""), fields.get("name", "")), visiting().visitor
        values = {"outcome": None, "report": None, "problem": "", "name": ""} | shown
        return self._server.page(
            "simulations/simulations.html",
            status=status,
            chosen=chosen,
            versions=self._versions(chosen[1]) if chosen is not None and chosen[0] == "model" else [],
            fields=self._with_default(chosen, fields),
            reports=[path.stem for path in self._reports()],
            sees_patients=visitor is None or not DECISION_READERS.isdisjoint(visitor.roles),
            most=MOST,
            shares=SHARES,
            **values,
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

    def _reports(self) -> list[Path]:
        """Return the files of the folder of simulations, the newest first."""
        try:
            files = [path for path in self._settings.simulations_folder.iterdir() if path.suffix == _REPORT]
            return sorted(files, key=lambda path: -path.stat().st_mtime)
        except OSError:
            return []

    def _record(self, trial: Trial) -> None:
        """Record who tries what, before it is computed."""
        visitor = visiting().visitor
        detail = {
            "what": f"{trial.kind} {trial.name}",
            "change": trial.words,
            "on": f"the newest {trial.most:,} decisions",
        }
        add_event(self._settings.database_url, EVENT, visitor.actor if visitor is not None else "operator", detail)
        log().info("simulation started", reason=trial.change)

    def _trial(self, fields: Mapping[str, str]) -> Trial:
        """Return what the form asks for.

        Raises:
            BadRequest: It asks for something that is not offered.
        """
        chosen = self._chosen(fields.get("kind", ""), fields.get("name", ""))
        if chosen is None:
            raise BadRequest("there is no rule and no model of this name here; choose it on its own page")
        change, _, value = fields.get("change", "").partition(":")
        offered: dict[str, tuple[str, ...]] = {"speaks": ("",), "off": ("",)}
        if chosen[0] == "model":
            offered = {"version": tuple(self._versions(chosen[1])), "share": tuple(map(str, SHARES))}
        if value not in offered.get(change, ()):
            raise BadRequest("this change is not offered; choose one of those of the list")
        if fields.get("most", "") not in map(str, MOST):
            raise BadRequest("this number is not offered; choose one of those of the list")
        return Trial(*chosen, change, int(fields["most"]), value)  # type: ignore[arg-type]  # both are of the lists above


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of simulations."""
    pages = _Simulations(server)
    return [
        server.route("/simulations", pages.show),
        server.route("/simulations", pages.show, ["POST"], limiter=CapacityLimiter(1)),
        server.route("/simulations/{name}", pages.show_report),
    ]
