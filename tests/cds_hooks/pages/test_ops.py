"""The page of operations: what its parts say of a record, from the counts alone, and their CSV."""

import asyncio
import csv
import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from typer.testing import CliRunner

from cds_hooks.cli import app
from cds_hooks.hold_back.releases import Releases
from cds_hooks.monitor.book import CountBook
from cds_hooks.pages import count_keeper as keeping
from cds_hooks.pages.count_keeper import Counted
from cds_hooks.pages.operations.counts import DaySumsCache, Span, read_counts
from cds_hooks.pages.operations.figures import cards_part, percent, prefetch_part, stages_part
from cds_hooks.pages.operations.glance import Glance, look
from cds_hooks.pages.operations.parts import span_of
from cds_hooks.pages.operations.record_state import refused_part
from cds_hooks.pages.server import PageServer
from cds_hooks.settings import settings
from cds_hooks.storage import Decision, FeedbackItem, card_uuid, open_decision_log
from cds_hooks.web.charts import round_scale
from cds_hooks.web.files import csv_download
from models_onnx.monitoring.figure import Figure
from tests.cds_hooks.calls import PLANNING
from tests.cds_hooks.pages.test_decisions import decided, run, trust_file_in
from tests.cds_hooks.storage.samples import a_decision

CARDS = b'{"cards":[{"summary":"one"},{"summary":"two"}]}'
BASIS = (
    b'{"timings":{"decode":1.0,"decide":3.0},"prefetch":{"labs":"%s","patient":"given"},'
    b'"silence":[["renal-one","below-threshold","A text."],["Observation/secret","unreadable","A text."]]}'
)
PARTS = (
    "incidents", "calls", "stages", "errors", "refused", "prefetch", "cards", "reasons", "silence", "budgets", "data",
    "record",
)  # fmt: skip


def week(at: datetime) -> list[Decision]:
    """A hundred calls, of which a fifth failed and half brought no laboratory results; 40 had two cards."""
    made = []
    for number in range(100):
        outcome: Any = "error" if number % 5 == 0 else "cards" if number % 2 else "silent"
        changes: dict[str, Any] = {"outcome": outcome, "response": CARDS if outcome == "cards" else b'{"cards":[]}'}
        basis = BASIS % (b"given" if number % 2 else b"fetched")
        if outcome == "error":
            basis = b'{"silence":[["prefetch","required-data-missing","A text."]]}'
        made.append(a_decision(decided_at=int(at.timestamp() * 1e6) + number, basis=basis, **changes))
    return made


def write(url: str, decisions: list[Decision]) -> None:
    async def store() -> None:
        log = open_decision_log(url)
        for each in decisions:
            await log.append(each)
        shown = [each for each in decisions if each.outcome == "cards"]
        items = [
            FeedbackItem(
                card_uuid(each.id, 1), each.service, each.client, "accepted" if number < 10 else "overridden",
                "2026-11-20T09:00:00Z", each.decided_at, override_reason_code=None if number < 10 else "=declined",
            )
            for number, each in enumerate(shown[:30])
        ]  # fmt: skip
        await log.append_feedback(items)
        await log.close()

    asyncio.run(store())


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> CountBook:
    folder = tmp_path_factory.mktemp("record")
    url = f"sqlite:///{folder}/d.sqlite3"
    write(url, week(datetime(2026, 11, 19, 8, tzinfo=UTC)))
    book = CountBook(folder / "m.sqlite3")
    assert book.read(url) == 100
    return book


SPAN = Span(date(2026, 11, 20), 7)


def test_the_strip_says_who_called_and_what_waits_and_is_healthy_only_when_all_was_counted(tmp_path: Path) -> None:
    async def task(calls: httpx.AsyncClient) -> None:
        page = (await calls.get("/ops")).text.partition('id="glance"')[2].partition("</section>")[0]
        assert "No call is on record" in page
        assert "The record was never verified on this machine." in page
        await decided(calls, "infant")
        strip = (await calls.get("/ops")).text.partition('id="glance"')[2].partition("</section>")[0]
        assert "1 counted call in the last hour" in strip
        assert "Ann at extension 4711" in strip

    run(tmp_path, task, contact="Ann at extension 4711")


def glance_after(folder: Path, figures: list[Figure] | None, note: str = "", fault: str | None = None) -> Glance:
    url, book = f"sqlite:///{folder}/d.sqlite3", CountBook(folder / "m.sqlite3")
    write(url, week(datetime(2026, 11, 19, 8, tzinfo=UTC)))
    book.read(url)
    if fault is not None:
        book.note_verification(100, fault)
    server = cast("PageServer", _Server(url))
    return look(server, book, Counted(book, note), figures)


class _Server:
    """What the strip asks of a server: no models, the development profile."""

    def __init__(self, url: str) -> None:
        self.services: dict[str, Any] = {}
        self.settings = SimpleNamespace(contact="", database_url=url, as_of=datetime(2025, 12, 1, tzinfo=UTC))
        self.files = SimpleNamespace(manifests=dict)
        governance = SimpleNamespace(approval_counts=lambda: {"approved": 3, "not_approved": 2})
        self.components = SimpleNamespace(governance=governance, releases=Releases(None))


@pytest.mark.parametrize(
    ("figures", "note", "fault", "health"),
    [
        ([], "", "", "healthy"),
        (None, "", "", "unknown"),
        ([], "12 decisions are not counted yet.", "", "unknown"),
        ([], "", "row 3 was changed", "degraded"),
    ],
)
def test_the_strip_is_healthy_unknown_or_degraded(
    tmp_path: Path, figures: list[Figure] | None, note: str, fault: str, health: str
) -> None:
    glance = glance_after(tmp_path, figures, note, fault)
    assert glance.health == health
    assert bool(glance.reasons) is (health != "healthy")
    assert [(caller.name, caller.last, caller.calls) for caller in glance.callers] == [
        ("a hospital", "2026-11-19 08:00 UTC", 0)
    ]
    assert [task.what for task in glance.tasks] == ["2 rules that are not approved here"]


def test_a_record_that_nobody_verified_for_a_week_waits_for_a_person(tmp_path: Path) -> None:
    book = CountBook(tmp_path / "m.sqlite3")
    with book.open() as connection:
        old = int(datetime.now(UTC).timestamp()) - 9 * 86_400
        connection.execute("INSERT INTO verifications VALUES (?, 5, '')", (old,))
    glance = glance_after(tmp_path, [])
    assert "The record was last verified 9 days ago." in [task.what for task in glance.tasks]


def test_the_figures_are_those_of_the_record(counted: CountBook) -> None:
    counts = read_counts(counted, SPAN)
    total = counts.total
    assert (total.calls, total.errors, total.with_cards, total.cards) == (100, 20, 40, 80)
    assert (total.accepted, total.overridden, total.classes) == (10, 20, {"required-data-missing": 20})
    assert [each.calls for each in counts.by_day.values()] == [0, 0, 0, 0, 0, 100, 0]
    assert read_counts(counted, Span(date(2026, 11, 20), 7, client="nobody")).total.calls == 0


def test_the_sums_of_a_day_are_kept_until_something_is_counted_into_it(tmp_path: Path) -> None:
    url, book, sums = f"sqlite:///{tmp_path}/d.sqlite3", CountBook(tmp_path / "m.sqlite3"), DaySumsCache()
    first, second = datetime(2026, 11, 18, 8, tzinfo=UTC), datetime(2026, 11, 19, 8, tzinfo=UTC)
    write(url, week(first))
    book.read(url)
    assert read_counts(book, SPAN, sums).total.calls == 100
    stamps = book.stamps(SPAN.first, SPAN.last)
    assert list(stamps) == [first.date()]
    write(url, week(second))
    book.read(url)
    assert book.stamps(SPAN.first, SPAN.last)[first.date()] == stamps[first.date()]
    for _ in range(2):
        by_day = read_counts(book, SPAN, sums).by_day
        assert [by_day[each.date()].calls for each in (first, second)] == [100, 100]
    write(url, week(first))
    book.read(url)
    assert read_counts(book, SPAN, sums).by_day[first.date()].calls == 200
    assert read_counts(book, SPAN, sums).total.calls == 300
    narrowed = Span(SPAN.last, SPAN.days, service="nobody")
    assert read_counts(book, narrowed, sums).total.calls == 0


def test_a_book_of_before_gets_stamps_and_keeps_its_counts(tmp_path: Path) -> None:
    url, book = f"sqlite:///{tmp_path}/d.sqlite3", CountBook(tmp_path / "m.sqlite3")
    write(url, week(datetime(2026, 11, 19, 8, tzinfo=UTC)))
    book.read(url)
    with book.open() as connection:
        connection.execute("DROP TABLE stamps")
    again = CountBook(book.file)
    assert list(again.stamps(SPAN.first, SPAN.last)) == [date(2026, 11, 19)]
    assert read_counts(again, SPAN, DaySumsCache()).total.calls == 100


def test_only_so_many_days_are_kept(counted: CountBook) -> None:
    sums = DaySumsCache()
    for number in range(DaySumsCache.MOST_DAYS // 28 + 3):
        read_counts(counted, Span(date(2026, 11, 20), 28, client=f"client-{number}"), sums)
    assert len(sums._kept) == DaySumsCache.MOST_DAYS


def test_stages_cards_and_keys_are_said_with_their_numbers(counted: CountBook) -> None:
    counts = read_counts(counted, SPAN)
    stages = {row.name: [cell.text for cell in row.cells] for row in stages_part(counts).rows}
    assert stages["Whole call"] == ["4.0", "4.0", "4.0"]
    (cards,) = cards_part(counts).rows
    assert [cell.text for cell in cards.cells] == ["80", "12 %", "25 %", "50"]
    assert cards.drawing is not None
    assert cards.drawing.bars == (12.5, 25.0)
    keys = {row.name: row.cells for row in prefetch_part(counts).rows}
    assert [cell.text for cell in keys["labs"]] == ["a hospital", "80", "50 %", "0", "40"]
    assert keys["labs"][2].sign == "critical"
    assert keys["patient"][2].sign == ""


def test_a_share_of_too_few_is_no_share() -> None:
    assert percent(3, 19).text == "not enough data (3 of 19)"
    assert percent(3, 20).text == "15 %"
    assert percent(16, 20, signs=True).sign == "warning"


@pytest.mark.parametrize(("most", "high"), [(0, 1), (1, 1), (4, 4), (5, 6), (41, 60), (999, 1000), (100_001, 150_000)])
def test_a_scale_ends_with_a_round_number_that_is_not_below_the_most(most: int, high: int) -> None:
    scale = round_scale(most)
    assert (scale.low, scale.high) == (0, high)
    assert high >= most


def test_the_metrics_tell_what_was_refused_since_the_start() -> None:
    text = (
        "# TYPE cds_requests_total counter\n"
        'cds_requests_total{service="s",hook="",status="401"} 3\n'
        'cds_requests_total{service="s",hook="h",status="200"} 9\n'
        "# TYPE cds_untrusted_total counter\n"
        'cds_untrusted_total{reason="expired"} 2\n'
    )
    part = refused_part(text.encode())
    assert [(row.name, row.cells[0].text) for row in part.rows] == [("HTTP 401", "3"), ("not trusted: expired", "2")]
    assert part.answer == "3 calls since the start."


def test_an_address_with_nonsense_is_a_week() -> None:
    assert span_of({"days": "0"}).days == span_of({"days": "x"}).days == span_of({}).days == 7
    assert span_of({"days": "28"}).first == span_of({"days": "28"}).last - timedelta(days=27)


def test_the_csv_has_the_rows_and_no_formula(counted: CountBook) -> None:
    from cds_hooks.pages.operations.figures import reasons_part

    part = reasons_part(read_counts(counted, SPAN))
    body = csv_download(
        "reasons", [part.columns, *([row.name, *(cell.plain for cell in row.cells)] for row in part.rows)]
    ).body
    lines = list(csv.reader(io.StringIO(bytes(body).decode())))
    assert lines == [["Reason", "Cards", "Of those overridden"], ["'=declined", "20", "100.0"]]


def test_every_part_is_on_the_page_with_its_csv_and_its_rows_lead_to_decisions(tmp_path: Path) -> None:
    write(f"sqlite:///{tmp_path}/decisions.sqlite3", week(datetime.now(UTC)))

    async def task(calls: httpx.AsyncClient) -> None:
        made = await decided(calls, "planning-talk")
        page = (await calls.get("/ops")).text
        for part in PARTS:
            assert f'<h2 id="{part}">' in page, part
            answer = await calls.get(f"/ops/{part}.csv")
            assert answer.status_code == 200, part
            assert answer.headers["content-type"].startswith("text/csv")
        assert "Observation/secret" not in page
        today = datetime.now(UTC).date()
        behind = f"since={today}&until={today}"
        assert f'href="decisions?{behind}"'.replace("&", "&amp;") in page
        assert f"explain/{made['id']}" in (await calls.get(f"/decisions?{behind}")).text
        failed = page.partition('<h2 id="errors">')[2].partition('href="')[2].partition('"')[0].replace("&amp;", "&")
        assert (await calls.get(f"/{failed}")).text.count(">Failed</span>") == 20
        assert (await calls.get("/ops/nothing.csv")).status_code == 404
        assert f"<option selected>{PLANNING}</option>" in (await calls.get(f"/ops?service={PLANNING}")).text

    run(tmp_path, task)


def test_many_that_are_not_counted_yet_are_counted_beside_the_page_which_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "AT_ONCE", 10)
    write(f"sqlite:///{tmp_path}/decisions.sqlite3", week(datetime.now(UTC)))

    async def task(calls: httpx.AsyncClient) -> None:
        assert "100 decisions are being counted" in (await calls.get("/ops")).text
        async with asyncio.timeout(60):
            while "Not everything is counted" in (await calls.get("/ops")).text:
                await asyncio.sleep(0.05)
        assert CountBook(tmp_path / "counts.sqlite3").counted_to() == 100

    run(tmp_path, task)


def test_a_file_of_counts_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "counts.sqlite3").write_bytes(b"no database" * 100)

    async def task(calls: httpx.AsyncClient) -> None:
        answer = await calls.get("/ops")
        assert answer.status_code == 503
        assert "The counts cannot be used" in answer.text
        assert (await calls.get("/decisions")).status_code == 200

    run(tmp_path, task)


def test_the_last_verification_is_on_the_page_also_where_it_found_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/decisions.sqlite3"
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "monitor.sqlite3").symlink_to(tmp_path / "counts.sqlite3")
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()

    async def make(calls: httpx.AsyncClient) -> None:
        await decided(calls, "infant")
        assert "Nobody has verified the chain" in (await calls.get("/ops")).text

    run(tmp_path, make)
    assert CliRunner().invoke(app, ["record", "verify", "--database", url]).exit_code == 0
    monkeypatch.undo()
    settings.cache_clear()

    async def look(calls: httpx.AsyncClient) -> None:
        page = (await calls.get("/ops")).text
        assert "as it was written" in page
        CountBook(tmp_path / "counts.sqlite3").note_verification(7, "its content was changed")
        page = (await calls.get("/ops")).text
        assert "It is broken." in page
        assert "its content was changed" in page

    run(tmp_path, look)


def test_with_a_trust_file_only_the_operator_sees_operations(tmp_path: Path) -> None:
    token = "operator-token-of-the-tests"  # noqa: S105 - of this test only

    async def task(calls: httpx.AsyncClient) -> None:
        for path in ("/ops", "/ops/calls.csv"):
            assert (await calls.get(path)).status_code == 403, path
            assert (await calls.get(path, headers={"authorization": f"Bearer {token}"})).status_code == 200, path

    opened = {"operator_token": token, "explain_pages": "everyone", "public_url": "http://127.0.0.1:8085"}
    run(tmp_path, task, trust_file=trust_file_in(tmp_path), **opened)
