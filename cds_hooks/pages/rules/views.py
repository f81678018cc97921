"""The pages of the rules: the list with what waits for a second person, a rule, and the checks."""

from typing import Annotated, Any, Final

from anyio import CapacityLimiter
from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cards.rules.engine.governance import RuleVersion, all_rule_versions
from cds_hooks.pages.committee.tables import WantedRules
from cds_hooks.pages.rules.approvals import MOST_BYTES, Approvals
from cds_hooks.pages.rules.description import describe_rule
from cds_hooks.pages.rules.drug import CLASSES, describe_drug
from cds_hooks.pages.server import PageServer
from cds_hooks.web.site import Failure, Refusal
from cds_hooks.web.visitor import visiting

_NO_RULE: Final = Failure(
    "No such rule", "Not found", "No medication rule of this name is here.", "/rules lists those there are."
)


def _version(rule_id: str) -> RuleVersion:
    version = all_rule_versions().get(rule_id)
    if version is None:
        raise Refusal(_NO_RULE)
    return version


class _Rules:
    """The pages of one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._approvals = Approvals(server)

    def show_all(self, request: Request, wanted: Annotated[WantedRules, Query()]) -> Response:
        """Show the rules, and what waits for a second person; what was clicked is taken first."""
        approvals: dict[str, Any]
        if request.method == "POST":
            approvals, status = self._approvals.take(request.state.form)
        else:
            approvals, status = self._approvals.values(), 200
        rules = self._server.committee.rules(wanted)
        return self._server.page("rules/rules.html", status=status, **rules, **approvals)

    def show(self, version: Annotated[RuleVersion, Depends(_version)]) -> Response:
        """Show one rule."""
        standing = self._server.committee.rule(version)
        return self._server.page("rules/rule.html", it=describe_rule(version), standing=standing)

    def show_checks(self, drug: Annotated[str, Query(max_length=200)] = "") -> Response:
        """Show which checks exist for a drug, a brand, a class or a test."""
        query = " ".join(drug.split())
        committee = self._server.committee
        calls = committee.refresh() if query else 0
        description = describe_drug(query, committee) if query else None
        reads_decisions = visiting().may_open("decisions")
        return self._server.page(
            "rules/checks.html",
            status=200 if description is not None or not query else 404,
            query=query,
            drug=description,
            classes=CLASSES,
            calls=calls,
            reads_decisions=reads_decisions,
        )


def routes(server: PageServer) -> list[Route]:
    """Return their addresses."""
    pages = _Rules(server)
    limiter = CapacityLimiter(1)
    return [
        server.route("/rules", pages.show_all),
        server.route("/rules", pages.show_all, ["POST"], limiter=limiter, upload=True, most_bytes=MOST_BYTES),
        server.route("/rules/checks", pages.show_checks),
        server.route("/rules/{rule_id}", pages.show),
    ]
