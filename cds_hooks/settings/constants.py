"""Values with one right answer, which the environment does not set: attributes of every `Settings`."""

from pathlib import Path
from typing import ClassVar


class Constants:
    """Limits, places of files under `var/`, and the profile of the caller in the development profile."""

    max_body_bytes: ClassVar[int] = 16 * 1024 * 1024
    """Largest request body that is read; larger ones are answered 413."""
    max_entries_per_key: ClassVar[int] = 10_000
    """Bundle entries that one prefetch key may hold; more are answered 413. The longest charts that were measured have
    2,274 (docs/decisions/0009-large-calls.md)."""
    max_entries: ClassVar[int] = 30_000
    """Bundle entries that all prefetch keys of a call may hold together; more are answered 413. The longest charts that
    were measured have 6,150."""
    max_drafts: ClassVar[int] = 200
    """Entries of draftOrders, and active orders at discharge, that one call may have judged; more are answered 413."""
    visit_memory_bytes: ClassVar[int] = 32 * 1024 * 1024
    """Memory of each server process for the prefetch of the last five minutes: a chart that a client sends again for
    another service or order is not read again."""
    fetch_milliseconds: ClassVar[int] = 400
    """Longest time in which one call reads from the client's FHIR server what its prefetch lacks, where no trust file
    says how long."""
    concurrent_calls: ClassVar[int] = 256
    """Calls of one client under way at the same time in one server process, where no trust file says how many; more are
    answered 429."""
    calls_per_second: ClassVar[int] = 10_000
    """Calls of one client that begin in a second in one server process; more are answered 429 with Retry-After. A trust
    file can say less for a client."""
    connections: ClassVar[int] = 10_000
    """Connections that are open at the same time in one server process, at most three quarters of its file descriptors;
    beyond it those that have waited the longest without a request are closed."""
    body_seconds: ClassVar[float] = 10
    """A body that arrives more slowly is answered 408."""
    head_seconds: ClassVar[float] = 10
    """The head of a request that arrives more slowly is answered 408; counted from the opening of the connection or
    the last answer."""
    answer_seconds: ClassVar[float] = 30
    """The connection is cut where a client takes longer to read an answer."""
    login_idle_minutes: ClassVar[float] = 15
    """A login ends after so many minutes without a page."""
    login_hours: ClassVar[float] = 12
    """A login ends after so many hours in any case."""
    explain_link_minutes: ClassVar[float] = 60
    """With CDS_EXPLAIN_LINK_KEY the link of a card opens the page of its decision for so long, without a login."""
    label_lag_days: ClassVar[float] = 3
    """Days after a model's horizon until every outcome is known, where the model's manifest says nothing
    (docs/operations/outcomes.md)."""
    seal_seconds: ClassVar[float] = 60
    """Time between two seals; nothing new, no seal."""
    seal_file: ClassVar[Path] = Path("var/seals.ndjson")
    """File to which each seal is added, one line each."""
    counts_file: ClassVar[Path | None] = None
    """Where the views of the record are kept; None: beside an SQLite record, else in var. They are made again where
    they are not there (docs/operations/monitoring.md)."""
    look_seconds: ClassVar[float] = 10
    """Time between two looks at files and stores that no call asks for (cds_hooks/server/stores.py)."""
    link_hosts: ClassVar[tuple[str, ...]] = ()
    """Hosts that cards may link to in the development profile; none means any."""
    action_selection_behavior: ClassVar[bool] = False
    """Whether callers of the development profile support it (CDS Hooks 3.0)."""
    log_level: ClassVar[str] = "info"
    """Least level that is logged."""
