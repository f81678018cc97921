"""The pages of the rules: the list with what waits for a second person, a rule, and the checks."""

from typing import Any, Final

from anyio import CapacityLimiter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cards.rules.engine.governance import RuleVersion, all_rule_versions
from cds_hooks.pages.rules.approvals import MOST_BYTES, Approvals
from cds_hooks.pages.rules.description import describe_rule
from cds_hooks.pages.rules.drug import CLASSES, describe_drug
from cds_hooks.pages.server import PageServer
from cds_hooks.web.site import Failure, Refusal
from cds_hooks.web.visitor import visiting

_LONGEST_NAME: Final = 200
_NO_RULE: Final = Failure(
    "No such rule", "Not found", "No medication rule of this name is here.", "/rules lists those there are."
)


class _Rules:
    """The pages of one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._approvals = Approvals(server)

    def show_all(self, request: Request) -> Response:
        """Show the rules, and what waits for a second person; what was clicked is taken first."""
        approvals: dict[str, Any]
        if request.method == "POST":
            approvals, status = self._approvals.take(request.state.form)
        else:
            approvals, status = self._approvals.values(), 200
        rules = self._server.committee.rules(request.query_params)
        return self._server.page("rules/rules.html", status=status, **rules, **approvals)

    def show(self, request: Request) -> Response:
        """Show one rule."""
        version = _version(request)
        standing = self._server.committee.rule(version)
        return self._server.page("rules/rule.html", it=describe_rule(version), standing=standing)

    def show_checks(self, request: Request) -> Response:
        """Show which checks exist for a drug, a brand, a class or a test."""
        query = " ".join(request.query_params.get("drug", "")[:_LONGEST_NAME].split())
        committee = self._server.committee
        calls = committee.refresh() if query else 0
        drug = describe_drug(query, committee) if query else None
        reads_decisions = visiting().may_open("decisions")
        return self._server.page(
            "rules/checks.html",
            status=200 if drug is not None or not query else 404,
            query=query,
            drug=drug,
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


def _version(request: Request) -> RuleVersion:
    version = all_rule_versions().get(request.path_params["rule_id"])
    if version is None:
        raise Refusal(_NO_RULE)
    return version
