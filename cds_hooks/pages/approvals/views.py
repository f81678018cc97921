"""The page /approvals: what waits for a second signature, and the form that takes files of signed acts."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.access.forms import came_from_this_site, require_token
from cds_hooks.errors import HookError
from cds_hooks.hold_back.acts import ApprovalRefused, Key, Subject, waiver_subject, words_of
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.people import PeopleFileError
from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.signatures import MOST_BYTES
from cds_hooks.hold_back.submission import ActDesk, ServedHere, Taken
from cds_hooks.logs import log
from cds_hooks.pages.answers import refused
from cds_hooks.pages.committee.tables import SignatureRow, WaitingRow, approvals_page
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.routes.operations import OperatorAccess
from cds_hooks.services import Service
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.web.site import HEADERS, Failure, Site
from cds_hooks.web.visiting import visiting
from models_onnx.artifact.release_file import Release

_OPERATOR_ONLY: Final = Failure(
    "Not for this address",
    "Refused",
    "Signed acts are handed in by people who have logged in. Without CDS_LOGIN only the operator does it.",
    "Set CDS_LOGIN (docs/operations/access.md), or open the page at CDS_OPERATOR_LISTEN.",
)
_AWAY: Final = Failure(
    "The record cannot be read or written",
    "Failed",
    "The record of decisions does not answer at the moment. Nothing was changed.",
    "Try again in a minute. If it stays so, tell the operator of this server.",
)
_NO_PEOPLE: Final = Failure(
    "The file of people cannot be used",
    "Failed",
    "The file that CDS_PEOPLE_FILE names was changed and cannot be read. Nothing was changed.",
    "Ask whoever keeps the file; the log and cds-hooks approve list say what is wrong with it.",
)
_NOT_NEEDED: Final = "in the development profile no signature counts and none is needed: nothing was recorded"


class _Approvals:
    def __init__(
        self,
        configured: Settings,
        visitors: OperatorAccess,
        site: Site,
        book: ApprovalBook | None,
        releases: Releases,
        desk: ActDesk,
    ) -> None:
        self._seconds = configured.body_seconds
        self._as_of = configured.as_of
        self._visitors = visitors
        self._site = site
        self._book = book
        self._releases = releases
        self._desk = desk
        self._limiter = CapacityLimiter(1)

    async def page(self, request: Request) -> Response:
        """What waits; a posted file is taken first."""
        if request.method != "POST":
            return await to_thread.run_sync(self._shown, limiter=self._limiter)
        if not self._visitors.may_see_metrics(request):
            return refused(self._site, request, _OPERATOR_ONLY, 403)
        try:
            text = await self._file(request)
            return await to_thread.run_sync(self._take, text, limiter=self._limiter)
        except HookError as fault:
            return self._shown(problem=fault.text, status=fault.status)
        except (ApprovalRefused, ValueError) as fault:
            log().info("signed acts refused", status=400)
            return self._shown(problem=str(fault), status=400)
        except RecordUnavailable:
            log().error("record away", status=503)
            return refused(self._site, request, _AWAY, 503)
        except PeopleFileError:
            log().error("file of people refused", status=503)
            return refused(self._site, request, _NO_PEOPLE, 503)

    async def _file(self, request: Request) -> str:
        from cds_hooks.web.form import parse_form, read_body

        if not came_from_this_site(request.headers):
            raise ApprovalRefused("the form did not come from a page of this server, so nothing was done")
        body = await read_body(request, MOST_BYTES, self._seconds)
        form = await to_thread.run_sync(parse_form, request.headers.get("content-type", ""), body)
        require_token(form)
        if not form.get("acts", "").strip():
            raise ApprovalRefused("no file was chosen, or it is empty")
        return form["acts"]

    def _take(self, text: str) -> Response:
        if self._book is None:
            raise ApprovalRefused(_NOT_NEEDED)
        visitor = visiting().visitor
        actor = visitor.actor if visitor is not None else "operator"
        taken = self._desk.take(text, actor, self._as_of or datetime.now(UTC))
        log().info("signed acts taken", count=len(taken))
        # those of this process have what was recorded just now a moment later
        return self._shown(*self._desk.on_record(), taken=taken)

    def _shown(
        self,
        book: ApprovalBook | None = None,
        releases: Releases | None = None,
        taken: list[Taken] | None = None,
        problem: str = "",
        status: int = 200,
    ) -> Response:
        book, releases = book or self._book, releases or self._releases
        refusals = [*(book.refused if book is not None else ()), *releases.refused]
        waiting = _waiting(book, releases)
        page = approvals_page(self._site, waiting, refusals, taken or [], problem, book is not None)
        return Response(page.encode("utf-8", "replace"), status, HEADERS, media_type="text/html")


def _waiting(book: ApprovalBook | None, releases: Releases) -> list[WaitingRow]:
    """What one person has signed and another one has to sign; the approvals first."""
    rows = []
    today = datetime.now(UTC).date()
    for signed in book.everything() if book is not None else ():
        said = signed[0].statement
        missing = book.why_not_approved(said.kind, said.subject, today) if book is not None else None
        if missing is not None:
            by = [SignatureRow(each.person.name, each.person.role, each.statement.at[:10], "") for each in signed]
            rows.append(WaitingRow(words_of(said.kind, said.subject), tuple(by), missing))
    for act in releases.waiting_for_second():
        by = [SignatureRow(act.by, act.role, act.at[:10], act.why)]
        rows.append(WaitingRow(act.words, tuple(by), "another person in another role signs the same"))
    return rows


def approval_routes(
    configured: Settings,
    visitors: OperatorAccess,
    site: Site,
    book: ApprovalBook | None,
    releases: Releases,
    services: Mapping[str, Service],
    versions: Mapping[Key, str],
    why_too_early: Callable[[str, str, str, datetime], str | None],
) -> list[Route]:
    """The page; `book` is None in the development profile, where no signature counts."""
    served = ServedHere(versions, services, *_models(ModelFiles(configured.models_folder)), why_too_early)
    desk = ActDesk(configured.database_url, configured.people_file, served)
    page = _Approvals(configured, visitors, site, book, releases, desk)
    return [Route("/approvals", page.page, methods=["GET", "POST"])]


def _models(files: ModelFiles) -> tuple[Callable[[str], Release | None], Callable[[str], list[Subject]]]:
    def waivers(model: str) -> list[Subject]:
        release, card = files.release(model), files.card(model) or {}
        written = card.get("product", {}).get("waivers", [])
        return [waiver_subject(model, release.version, each) for each in written] if release is not None else []

    return files.release, waivers
