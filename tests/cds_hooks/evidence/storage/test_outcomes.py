"""Outcomes are only ever added, versioned, chained, sealed, taken out and carried over, in both databases."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from cds_hooks.evidence.audit.holds import hold
from cds_hooks.evidence.audit.retention import remove_old
from cds_hooks.evidence.audit.seals import add_seal, read_seals
from cds_hooks.evidence.audit.transfer import back_up, restore
from cds_hooks.evidence.audit.verification import Audit, audit
from cds_hooks.evidence.storage.database import engine_for, parse_url
from cds_hooks.evidence.storage.decision import Decision
from cds_hooks.evidence.storage.outcomes import Outcome, completed, outcomes_of, store_outcomes
from models_onnx.artifact.keys import Signer, local_signer
from tests.cds_hooks.evidence.storage.samples import a_decision, store
from tests.each import each_row

OLD, NEW = 1_000_000, 2_000_000_000_000_000


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return local_signer(tmp_path / "seal-key.pem", "record")[0]


def write(url: str, *times: int, **changes: Any) -> list[Decision]:
    """Decisions made at these times."""
    return store(url, *(a_decision(decided_at=at, **changes) for at in times))


def an_event(decision: str | None, value: str = "yes", **changes: Any) -> Outcome:
    """What a model predicted happened."""
    item = Outcome(decision, "planning", "a hospital", "event", "mortality_5y", value, "2026-11-20", "api", 5)
    return msgspec.structs.replace(item, **changes)


def audited(url: str, tmp_path: Path, signer: Signer) -> Audit:
    keys = {signer.public.id: signer.public}
    return audit(url, read_seals(tmp_path / "seals.ndjson", keys), keys=keys)


def tamper(url: str, *statements: str) -> None:
    """What the owner of the database can do."""
    engine = engine_for(parse_url(url))
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            for verb in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER outcomes_refuse_{verb}"))
        else:
            connection.execute(text("DROP TRIGGER outcomes_refuse ON outcomes"))
            connection.execute(text("DROP TRIGGER outcomes_refuse_row ON outcomes"))
        for statement in statements:
            connection.execute(text(statement))


def test_what_a_client_said_is_compared_with_its_own_newest_statement_alone(url: str) -> None:
    write(url, OLD)

    def said(client: str, day: str) -> list[int]:
        item = an_event(None, day, kind="complete", subject="death", happened=None, service="", client=client)
        return [stored.version for stored in store_outcomes(parse_url(url), [item])]

    assert [said("north", "2026-10-31"), said("south", "2026-10-31")] == [[1], [1]]
    assert [said("north", "2026-10-31"), said("south", "2026-11-30")] == [[], [2]], "only what is new is stored"
    assert [said("north", "2026-11-30"), said("north", "2026-10-31")] == [[2], [3]]
    assert completed(url) == {("north", "death"): "2026-10-31", ("south", "death"): "2026-11-30"}


@pytest.mark.parametrize("statement", ["UPDATE outcomes SET value = 'no'", "DELETE FROM outcomes"])
def test_no_row_can_be_changed_or_deleted(url: str, statement: str) -> None:
    (decision,) = write(url, OLD)
    store_outcomes(parse_url(url), [an_event(decision.id)])
    with pytest.raises(DBAPIError, match="append-only"), engine_for(parse_url(url)).begin() as connection:
        connection.execute(text(statement))


@each_row(("statement", "finding"))
def test_the_seals_show_what_the_owner_of_the_database_did(
    url: str, tmp_path: Path, signer: Signer, statement: str, finding: str
) -> None:
    made = write(url, OLD, OLD, OLD)
    store_outcomes(parse_url(url), [an_event(each.id) for each in made])
    add_seal(url, tmp_path / "seals.ndjson", signer)
    store_outcomes(parse_url(url), [an_event(made[0].id, "no")])
    found = audited(url, tmp_path, signer)
    assert (found.findings, found.outcomes, found.unsealed) == (
        ["row 7 of outcomes is dated before the newest seal and in none: it was put in afterwards"], 4, 1,
    )  # fmt: skip
    tamper(url, statement)
    assert finding in audited(url, tmp_path, signer).findings


def test_outcomes_are_taken_out_with_their_decision(url: str, tmp_path: Path, signer: Signer) -> None:
    old, kept, _ = write(url, OLD, OLD + 1, NEW)
    store_outcomes(parse_url(url), [an_event(each.id, version) for each in (old, kept) for version in ("yes", "no")])
    hold(url, "decision", kept.id, "case 1", "Ann")
    add_seal(url, tmp_path / "seals.ndjson", signer)
    made = remove_old(url, "a hospital", NEW, tmp_path / "a.xz", "Ann", signer)
    assert made is not None
    assert (made.decisions, made.outcomes) == (1, 2)
    assert outcomes_of(url, old.id) == []
    assert len(outcomes_of(url, kept.id)) == 2
    assert audited(url, tmp_path, signer).findings == []


@pytest.mark.slow
def test_a_backup_carries_outcomes_from_one_database_to_the_other(
    sqlite_url: str, postgres_url: str, tmp_path: Path, signer: Signer
) -> None:
    (decision,) = write(sqlite_url, OLD)
    store_outcomes(parse_url(sqlite_url), [an_event(decision.id), an_event(decision.id, "no")])
    add_seal(sqlite_url, tmp_path / "seals.ndjson", signer)
    back_up(sqlite_url, tmp_path / "b.xz")
    restore(tmp_path / "b.xz", postgres_url)
    assert [each.value for each in outcomes_of(postgres_url, decision.id)] == ["yes", "no"]
    assert audited(postgres_url, tmp_path, signer).findings == []
    assert store_outcomes(parse_url(postgres_url), [an_event(decision.id)])[0].version == 3
