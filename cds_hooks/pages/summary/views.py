"""Shows the summary of the one patient of a session that an EHR opened."""

from importlib import import_module
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.pages.server import PageServer
from cds_hooks.web.numbers import format_time
from cds_hooks.web.site import Failure, PageRefusal
from cds_hooks.web.visitor import visiting

_NOT_HERE: Final = Failure(
    "No summaries here",
    "This server shows no summaries of charts.",
    "The operator sets CDS_TEXT_FILE where the site wants them.",
)
_NO_PATIENT: Final = Failure(
    "No patient is open",
    "A summary is of the patient whose chart the EHR has open, and no chart opened this page.",
    "Open the app from the chart of the patient.",
)


class _Summaries:
    """The summary of the patient of a session."""

    def __init__(self, server: PageServer) -> None:
        self._server = server

    def show(self) -> Response:
        """Show it; the text part is imported by the first view."""
        settings, visitor = self._server.settings, visiting().visitor
        if settings.text_file is None:
            raise PageRefusal(_NOT_HERE)
        if visitor is None or visitor.bound is None or visitor.bound.decision:
            raise PageRefusal(_NO_PATIENT)
        served, bound = import_module("cds_hooks.text.served"), visitor.bound
        resources, sent_at = served.recorded_chart(settings.database_url, bound.client, bound.patient)
        summary, _ = served.shown_summary(settings, resources, visitor.actor, bound.client, bound.patient)
        sent = format_time(sent_at) if sent_at is not None else ""
        return self._server.page("summary/summary.html", patient=bound.patient, summary=summary, sent=sent)


def routes(server: PageServer) -> list[Route]:
    """Return the address of the page."""
    return [server.route("/summary", _Summaries(server).show)]
