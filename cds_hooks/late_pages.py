"""The pages of a server, which are put together when the first of them is opened.

Nobody opens a page before the first calls are answered, and many workers never show one. Importing what the pages need
and making their addresses takes 0.06 s of a start and 6 MB.
"""

import asyncio
from collections.abc import Callable, Mapping

from msgspec import Struct
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from cds_hooks.access.sessions import Sessions
from cds_hooks.access.store import AccessStore
from cds_hooks.answer.call import ServerComponents
from cds_hooks.hold_back.acts import Key
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.metrics import MetricsFolder
from cds_hooks.routes.operations import OperatorAccess
from cds_hooks.security import Trust
from cds_hooks.services import Service
from cds_hooks.settings import Settings
from cds_hooks.web.site import Site


class PageNeeds(Struct, frozen=True):
    """What the pages are made from; `whole` gives the server itself, which the tester calls."""

    configured: Settings
    services: dict[str, Service]
    components: ServerComponents
    visitors: OperatorAccess
    site: Site
    approvals: ApprovalBook | None
    served: Mapping[Key, str]
    trust: Trust
    store: AccessStore
    sessions: Sessions
    counted: MetricsFolder
    whole: Callable[[], ASGIApp]


class LatePages:
    """Answers what no other route does: with a page, or as Starlette answers where there is none."""

    def __init__(self, needs: PageNeeds) -> None:
        """Nothing is imported yet."""
        self.needs = needs
        self._router: Router | None = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._router is None:
            async with self._making:
                if self._router is None:  # it may have been made while this request waited
                    self._router = Router(await asyncio.to_thread(page_addresses, self.needs))
        await self._router(scope, receive, send)


def page_addresses(needs: PageNeeds) -> list[BaseRoute]:
    """The addresses of all pages that these settings show."""
    from cds_hooks.access.smart import SmartLaunch
    from cds_hooks.monitor.versions import why_too_early
    from cds_hooks.pages.approvals.views import approval_routes
    from cds_hooks.pages.card_link.views import opening_routes
    from cds_hooks.pages.committee.standing import Committee
    from cds_hooks.pages.documentation.views import documentation_routes, site_routes
    from cds_hooks.pages.launch.views import launch_routes
    from cds_hooks.pages.login.views import login_routes
    from cds_hooks.pages.models.views import Pages
    from cds_hooks.pages.operations.views import Oversight
    from cds_hooks.pages.simulations.views import Simulations
    from cds_hooks.pages.tester.views import tester_routes
    from cds_hooks.pages.worklist.views import worklist_routes

    configured, services, site, visitors = needs.configured, needs.services, needs.site, needs.visitors
    components, sessions, store = needs.components, needs.sessions, needs.store
    governance, releases = components.governance, components.releases
    committee = Committee(site, configured.database_url, governance, needs.approvals, releases)
    smart = SmartLaunch(needs.trust, configured.public_url)
    return [
        *Pages(configured, services, components, visitors, committee).routes(),
        *approval_routes(configured, visitors, site, needs.approvals, releases, services, needs.served, why_too_early),
        *Simulations(configured, visitors, site, committee.shows_cards).routes(),
        *worklist_routes(configured, visitors, site),
        *launch_routes(configured.database_url, smart, store, sessions, site),
        *opening_routes(configured, sessions, site),
        *login_routes(configured, store, sessions, site),
        *Oversight(
            configured, services, visitors, governance, needs.counted, lambda: components.metrics.sealed_at()
        ).routes(),
        *tester_routes(configured, services, visitors, needs.whole),
        *(documentation_routes(services) if configured.trust_file is None else ()),
        *site_routes(),
    ]
