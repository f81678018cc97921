"""The facts of a decision are at rest as its answer is: encrypted, sealed, exported, moved and gone with it."""

import asyncio
import lzma
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary, delete, insert, select, text, type_coerce

from cds_hooks.evidence.audit.retention import remove_old
from cds_hooks.evidence.audit.seals import add_seal, read_seals
from cds_hooks.evidence.audit.transfer import back_up, export, restore
from cds_hooks.evidence.audit.verification import audit
from cds_hooks.evidence.storage.content import load_content, use_content_keys
from cds_hooks.evidence.storage.database import engine_for, parse_url
from cds_hooks.evidence.storage.decision import Decision, RecordUnavailable, StoredChart, chart_hash
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.evidence.storage.queries import DecisionFilter, charts_of, facts_of, get_decision, read_rows
from cds_hooks.evidence.storage.tables import charts, decisions
from models_onnx.artifact.keys import local_signer
from tests.cds_hooks.evidence.storage.samples import a_decision

OLD_KEY, NEW_KEY = "11" * 32, "22" * 32
FACTS = b'{"context":{"encounterId":"zwiebelfisch"}}'
WORD = b"zwiebelfisch"
LONG_AGO, LATER = 1_000_000, 2_000_000_000_000_000


@pytest.fixture(autouse=True)
def _no_keys_afterwards() -> Iterator[None]:
    yield
    use_content_keys("")


async def append(url: str, *given: Decision) -> None:
    log = open_decision_log(url)
    for decision in given:
        await log.append(decision)
    await log.close()


def at_rest(url: str) -> list[bytes | None]:
    """The column as it is stored, by row."""
    stored = read_rows(url, select(type_coerce(decisions.c.facts, LargeBinary)).order_by(decisions.c.sequence))
    return [bytes(row[0]) if row[0] is not None else None for row in stored]


def put_facts(url: str, decision: Decision, stored: bytes | None) -> None:
    """What an insider does who owns the database, and first drops the triggers that refuse changes."""
    off = ["DROP TRIGGER IF EXISTS decisions_refuse_update"]
    if not url.startswith("sqlite"):
        off = [f"DROP TRIGGER IF EXISTS decisions_{name} ON decisions" for name in ("refuse", "refuse_row")]
    with engine_for(parse_url(url)).begin() as connection:
        for statement in off:
            connection.execute(text(statement))
        change = text("UPDATE decisions SET facts = :stored WHERE id = :id")
        connection.execute(change, {"stored": stored, "id": decision.id})


async def test_without_keys_anybody_can_read_them_and_with_keys_nobody_without_a_key(url: str) -> None:
    plain, none = a_decision(facts=FACTS), a_decision()
    await append(url, plain, none)
    stored = at_rest(url)
    assert stored[1] is None
    assert load_content(stored[0] or b"") == FACTS

    use_content_keys(OLD_KEY)
    secret = a_decision(facts=FACTS)
    await append(url, secret)
    sealed = at_rest(url)[2] or b""
    assert WORD not in sealed
    assert facts_of(url, [plain.id, none.id, secret.id]) == {plain.id: FACTS, secret.id: FACTS}

    use_content_keys(f"{NEW_KEY}\n{OLD_KEY}\n")
    newer = a_decision(facts=FACTS)
    await append(url, newer)
    assert facts_of(url, [secret.id, newer.id]) == {secret.id: FACTS, newer.id: FACTS}
    use_content_keys(NEW_KEY)  # the older key is destroyed, and what it encrypted with it
    assert facts_of(url, [newer.id]) == {newer.id: FACTS}
    with pytest.raises(RecordUnavailable, match="a key that is not among CDS_CONTENT_KEYS"):
        facts_of(url, [secret.id])
    use_content_keys("")
    assert audit(url).findings == [], "an auditor verifies without any key"


async def test_facts_that_were_changed_taken_out_or_put_in_break_the_chain_and_the_seal(
    url: str, tmp_path: Path
) -> None:
    signer, seals = local_signer(tmp_path / "key.pem", "record")[0], tmp_path / "seals.ndjson"
    with_facts, without = a_decision(facts=FACTS), a_decision()
    await append(url, with_facts, without, a_decision())
    add_seal(url, seals, signer)
    known = {signer.public.id: signer.public}
    assert audit(url, read_seals(seals, known)).findings == []
    (before, *_) = at_rest(url)
    for decision, put in ((with_facts, b"{}"), (with_facts, None), (without, FACTS)):
        put_facts(url, decision, put)
        assert f"decision {decision.id}" in audit(url).findings[0]
        assert audit(url, read_seals(seals, known)).findings != []
        put_facts(url, decision, before if decision is with_facts else None)
        assert audit(url).findings == []


@pytest.mark.slow
@pytest.mark.parametrize("way", ["to postgres", "to sqlite"])
async def test_they_move_encrypted_to_the_other_database(
    sqlite_url: str, postgres_url: str, tmp_path: Path, way: str
) -> None:
    source, target = (sqlite_url, postgres_url) if way == "to postgres" else (postgres_url, sqlite_url)
    use_content_keys(OLD_KEY)
    kept, none = a_decision(facts=FACTS), a_decision()
    await append(source, kept, none)
    use_content_keys("")  # who moves a record needs no key
    back_up(source, tmp_path / "backup.xz")
    assert WORD not in lzma.decompress((tmp_path / "backup.xz").read_bytes())
    restore(tmp_path / "backup.xz", target)
    assert at_rest(target) == at_rest(source)
    assert audit(target).findings == []
    use_content_keys(OLD_KEY)
    assert facts_of(target, [kept.id, none.id]) == {kept.id: FACTS}


async def test_a_retention_run_takes_them_out_of_the_record_encrypted(url: str, tmp_path: Path) -> None:
    signer, file = local_signer(tmp_path / "key.pem", "record")[0], tmp_path / "a.xz"
    use_content_keys(OLD_KEY)
    old = a_decision(facts=FACTS, client="a", decided_at=LONG_AGO)
    await append(url, old, a_decision(client="a", decided_at=LATER))
    assert remove_old(url, "a", LATER, file, "Ann", signer) is not None
    assert get_decision(url, old.id) is None
    assert facts_of(url, [old.id]) == {}
    assert at_rest(url) == [None]
    assert WORD not in lzma.decompress(file.read_bytes())
    assert audit(url).findings == []
    other = f"sqlite:///{tmp_path}/other.sqlite3"
    restore(file, other)
    assert facts_of(other, [old.id]) == {old.id: FACTS}


async def test_a_chart_goes_with_the_last_decision_that_names_it(url: str, tmp_path: Path) -> None:
    signer, file = local_signer(tmp_path / "key.pem", "record")[0], tmp_path / "a.xz"
    (shared, alone, none), rows = _rows_of_charts(b"{}", b'{"a":1}', b'{"b":1}')
    old = [a_decision(client="a", decided_at=LONG_AGO, chart=chart) for chart in (shared, alone)]
    newer = a_decision(client="a", decided_at=LATER, chart=shared)
    log = open_decision_log(url)
    await asyncio.gather(log.append(old[0], rows[0]), log.append(old[1], rows[1]), log.append(newer, rows[0]))
    await log.close()
    assert stored_charts(url) == {shared, alone}, "each once"
    with pytest.raises(Exception, match="charts is append-only"), engine_for(parse_url(url)).begin() as connection:
        connection.execute(delete(charts))
    assert charts_of(url, [old[0].id, old[1].id, newer.id, "x"]) == {
        old[0].id: b"{}", old[1].id: b'{"a":1}', newer.id: b"{}"
    }  # fmt: skip
    assert remove_old(url, "a", LATER, file, "Ann", signer) is not None
    assert stored_charts(url) == {shared}
    assert audit(url).findings == []
    other = f"sqlite:///{tmp_path}/other.sqlite3"
    restore(file, other)
    assert stored_charts(other) == {shared, alone}
    assert none not in stored_charts(other)
    with engine_for(parse_url(url)).begin() as connection:
        connection.execute(insert(charts), {"hash": none, "content": b'{"b":1}'})
        connection.execute(delete(charts).where(charts.c.hash == none))
    assert stored_charts(url) == {shared}, "what no decision names can be deleted"


def _rows_of_charts(*contents: bytes) -> tuple[list[bytes], list[StoredChart]]:
    rows = [StoredChart(chart_hash(content), content) for content in contents]
    return [row.hash for row in rows], rows


def stored_charts(url: str) -> set[bytes]:
    return {bytes(row.hash) for row in read_rows(url, select(charts.c.hash))}


async def test_an_export_for_others_has_no_facts(url: str) -> None:
    await append(url, a_decision(facts=FACTS))
    for form in ("ndjson", "csv", "fhir"):
        out = BytesIO()
        assert export(url, DecisionFilter(), form, out) == 1
        assert out.getvalue() != b""
        assert WORD not in out.getvalue()
        assert b"facts" not in out.getvalue()
