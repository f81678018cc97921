"""The worklist: the page, and the form that takes a finding off or puts it back."""

from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.pages.server import PageServer, posted
from cds_hooks.pages.worklist.rows import (
    ROWS_ON_A_PAGE,
    SNOOZE_DAYS,
    Filter,
    WorklistKeeper,
    make_lists,
    record_act,
)
from cds_hooks.storage import decision_of
from cds_hooks.web.numbers import format_time
from cds_hooks.web.site import HEADERS


def _recorded(decision: str) -> str:
    if (decision_id := decision_of(decision)) is None:
        raise PydanticCustomError("decision", "no decision has this id")
    return decision_id


class Work(BaseModel):
    """What somebody did about a finding."""

    decision: Annotated[str, AfterValidator(_recorded)]
    finding: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    act: Literal["done", "snooze", "back"]
    days: int = 0

    @model_validator(mode="after")
    def _snoozes(self) -> "Work":
        if self.act == "snooze" and self.days not in SNOOZE_DAYS:
            raise PydanticCustomError("days", "an entry is snoozed for 1, 7 or 30 days")
        return self


class _Worklist:
    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._keeper = WorklistKeeper(server.follower, server.now)

    def show(self, wanted: Annotated[Filter, Query()]) -> Response:
        """Show the page."""
        note, now = self._server.counts.counted().note, self._server.now()
        lists = make_lists(self._keeper, wanted, now.timestamp())
        start = min(wanted.start, max(0, len(lists.waiting) - 1) // ROWS_ON_A_PAGE * ROWS_ON_A_PAGE)
        return self._server.page(
            "worklist/worklist.html",
            lists=lists,
            shown=lists.waiting[start : start + ROWS_ON_A_PAGE],
            start=start,
            step=ROWS_ON_A_PAGE,
            wanted=wanted,
            note=note,
            now=format_time(now),
            snoozes=SNOOZE_DAYS,
            did=lists.finding(wanted.did) if wanted.did else None,
            title_of=self._model_title,
        )

    def _model_title(self, model_id: str) -> str:
        manifest = self._server.files.manifest(model_id)
        return manifest.title if manifest is not None else model_id

    def act(
        self, work: Annotated[Work, Depends(posted(Work))], wanted: Annotated[Filter, Depends(posted(Filter))]
    ) -> Response:
        """Take a finding off the list, or put it back."""
        url, moment = self._server.settings.database_url, self._server.now().timestamp()
        record_act(url, self._server.actor, work.decision, work.finding, work.act, moment, work.days)
        query = wanted.query(did=work.finding)
        return Response(status_code=303, headers=HEADERS | {"location": f"worklist?{query}#list"})


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of the worklist."""
    page = _Worklist(server)
    return [
        server.route("/worklist", page.show),
        server.route("/worklist", page.act, ["POST"]),
    ]
