"""The page /approvals: what waits for a second signature, and the form that takes files of signed acts."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from anyio import CapacityLimiter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.hold_back.acts import ApprovalRefused, Subject, waiver_subject, words_of
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.people import PeopleFileError
from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.signatures import MOST_BYTES
from cds_hooks.hold_back.submission import ActDesk, ServedHere, Taken
from cds_hooks.logs import log
from cds_hooks.monitor.versions import why_too_early
from cds_hooks.pages.committee.tables import SignatureRow, WaitingRow
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.pages.server import PageServer
from cds_hooks.web.site import Failure, Refusal
from models_onnx.artifact.release_file import Release

_NO_PEOPLE: Final = Failure(
    "The file of people cannot be used",
    "Failed",
    "The file that CDS_PEOPLE_FILE names was changed and cannot be read. Nothing was changed.",
    "Ask whoever keeps the file; the log and cds-hooks approve list say what is wrong with it.",
)
_NOT_NEEDED: Final = "in the development profile no signature counts and none is needed: nothing was recorded"


class _Approvals:
    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._book = server.approvals
        self._releases = server.components.releases
        served = ServedHere(server.served, server.services, *_models(server.files), why_too_early)
        self._desk = ActDesk(server.settings.database_url, server.settings.people_file, served)

    def show(self, request: Request) -> Response:
        """Show what waits; a posted file is taken first."""
        if request.method != "POST":
            return self._page()
        try:
            return self._take(request.state.form.get("acts", ""))
        except (ApprovalRefused, ValueError) as fault:
            log().info("signed acts refused", status=400)
            return self._page(problem=str(fault), status=400)
        except PeopleFileError as fault:
            log().error("file of people refused", status=503)
            raise Refusal(_NO_PEOPLE, 503) from fault

    def _take(self, text: str) -> Response:
        if not text.strip():
            raise ApprovalRefused("no file was chosen, or it is empty")
        if self._book is None:
            raise ApprovalRefused(_NOT_NEEDED)
        recorded = self._desk.take(text, self._server.actor, self._server.now())
        log().info("signed acts taken", count=len(recorded))
        # those of this process have what was recorded just now a moment later
        return self._page(*self._desk.on_record(), recorded=recorded)

    def _page(
        self,
        book: ApprovalBook | None = None,
        releases: Releases | None = None,
        recorded: list[Taken] | None = None,
        problem: str = "",
        status: int = 200,
    ) -> Response:
        book, releases = book or self._book, releases or self._releases
        return self._server.page(
            "approvals/approvals.html",
            status=status,
            waiting=_waiting(book, releases),
            refused=[*(book.refused if book is not None else ()), *releases.refused],
            taken=recorded or [],
            problem=problem,
            needs_approval=book is not None,
        )


def _waiting(book: ApprovalBook | None, releases: Releases) -> list[WaitingRow]:
    """What one person has signed and another one has to sign; the approvals first."""
    rows = []
    today = datetime.now(UTC).date()
    for signed in book.everything() if book is not None else ():
        statement = signed[0].statement
        missing = book.why_not_approved(statement.kind, statement.subject, today) if book is not None else None
        if missing is not None:
            by = [
                SignatureRow(signature.person.name, signature.person.role, signature.statement.at[:10], "")
                for signature in signed
            ]
            rows.append(WaitingRow(words_of(statement.kind, statement.subject), tuple(by), missing))
    for act in releases.waiting_for_second():
        by = [SignatureRow(act.by, act.role, act.at[:10], act.why)]
        rows.append(WaitingRow(act.words, tuple(by), "another person in another role signs the same"))
    return rows


def _models(files: ModelFiles) -> tuple[Callable[[str], Release | None], Callable[[str], list[Subject]]]:
    def waivers(model: str) -> list[Subject]:
        release, card = files.release(model), files.card(model) or {}
        written = card.get("product", {}).get("waivers", [])
        return [waiver_subject(model, release.version, waiver) for waiver in written] if release is not None else []

    return files.release, waivers


def routes(server: PageServer) -> list[Route]:
    """Return the address of the page."""
    page = _Approvals(server)
    return [
        server.route(
            "/approvals",
            page.show,
            ["GET", "POST"],
            limiter=CapacityLimiter(1),
            upload=True,
            most_bytes=3 * MOST_BYTES,
        )
    ]
