"""Sends the files of cds_hooks/web/static; pages ask for them with their digest, so a new one has a new address."""

from starlette.routing import Mount

from cds_hooks.pages.server import PageServer
from cds_hooks.web.files import Files
from cds_hooks.web.site import HEADERS, STATIC


def routes(_: PageServer) -> list[Mount]:
    """Return the route of the folder."""
    return [Mount("/static", Files(STATIC, HEADERS | {"cache-control": "public, max-age=86400"}))]
