"""The pages of the medication rules: the list, a rule, and what changed between two of its versions."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cards.rules.engine.governance import RuleVersion, all_rule_versions
from cds_hooks.pages.committee.changes import Changes
from cds_hooks.pages.rules.description import describe_rule
from cds_hooks.pages.server import PageServer
from cds_hooks.web.site import Failure, Refusal

_NO_RULE = Failure(
    "No such rule", "Not found", "No medication rule of this name is here.", "The start page lists those there are."
)


def routes(server: PageServer) -> list[Route]:
    """Return their addresses."""

    def rules(request: Request) -> Response:
        return server.page("rules/rules.html", **server.committee.rules(request.query_params))

    def rule(request: Request) -> Response:
        version = _version(request)
        return server.page("rules/rule.html", it=describe_rule(version), standing=server.committee.rule(version))

    def changes(request: Request) -> Response:
        return Changes(server).rule(request, _version(request))

    return [
        server.route("/rules", rules),
        server.route("/rules/{rule_id}", rule),
        server.route("/rules/{rule_id}/changes", changes),
    ]


def _version(request: Request) -> RuleVersion:
    version = all_rule_versions().get(request.path_params["rule_id"])
    if version is None:
        raise Refusal(_NO_RULE)
    return version
