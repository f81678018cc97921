"""Values with one right answer: fields of `Settings` that the environment does not set; code and tests may."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings


class Constants(BaseSettings):
    """Limits, places of files under `var/`, and the profile of the caller in the development profile."""

    max_entries_per_key: int = Field(
        default=10_000,
        description="Bundle entries that one prefetch key may hold; more are answered 413. The longest charts that "
        "were measured have 2,274 (docs/decisions/0009-large-calls.md).",
    )
    max_entries: int = Field(
        default=30_000,
        description="Bundle entries that all prefetch keys of a call may hold together, and number of keys; more are "
        "answered 413. The longest charts that were measured have 6,150.",
    )
    max_drafts: int = Field(
        default=200,
        description="Entries of draftOrders, and active orders at discharge, that one call may have judged; more are "
        "answered 413.",
    )
    concurrent_calls: int = Field(
        default=256,
        description="Calls of one client under way at the same time in one server process, where no trust file says "
        "how many; more are answered 429.",
    )
    calls_per_second: int = Field(
        default=10_000,
        description="Calls of one client that begin in a second in one server process; more are answered 429 with "
        "Retry-After. A trust file can say less for a client.",
    )
    connections: int = Field(
        default=10_000,
        description="Connections that are open at the same time in one server process, at most three quarters of the "
        "file descriptors it may have; beyond it those that have waited the longest without a request are closed.",
    )
    body_seconds: float = Field(default=10, description="A body that arrives more slowly is answered 408.")
    head_seconds: float = Field(
        default=10,
        description="The head of a request that arrives more slowly is answered 408; counted from when the connection "
        "was opened or the last answer given.",
    )
    answer_seconds: float = Field(
        default=30, description="The connection is cut where a client takes longer to read an answer."
    )
    login_idle_minutes: float = Field(default=15, description="A login ends after so many minutes without a page.")
    login_hours: float = Field(default=12, description="A login ends after so many hours in any case.")
    explain_link_minutes: float = Field(
        default=60,
        description="With CDS_EXPLAIN_LINK_KEY the link of a card opens the page of its decision for so many minutes "
        "after the card was made, without a login.",
    )
    label_lag_days: float = Field(
        default=3,
        description="Days after a model's horizon until every outcome is known, where the model's manifest says "
        "nothing (docs/operations/outcomes.md).",
    )
    seal_seconds: float = Field(default=60, description="Time between two seals; nothing new, no seal.")
    counts_file: Path | None = Field(
        default=None,
        description="Where the views of the record are kept: what was shown and answered, counts, the worklist; made "
        "again where it is not there (docs/operations/monitoring.md). Unset: beside an SQLite record, else in var.",
    )
    link_hosts: tuple[str, ...] = Field(
        default=(), description="Hosts that cards may link to in the development profile; none means any."
    )
    action_selection_behavior: bool = Field(
        default=False, description="Whether callers of the development profile support it (CDS Hooks 3.0)."
    )
