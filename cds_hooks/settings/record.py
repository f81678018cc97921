"""The settings of the record: where decisions are kept, what of them, and how it is protected."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class RecordSettings(BaseSettings):
    """The record of decisions."""

    database_url: str = Field(
        default="sqlite:///var/decisions.sqlite3",
        description="Where decisions are recorded: an SQLAlchemy URL, SQLite or PostgreSQL.",
    )
    record_user: Literal["hashed", "clear", "none"] = Field(
        default="hashed",
        description="How the user to whom cards are shown stands in the record: as a keyed hash, in the clear, or not "
        "at all (docs/operations/evidence.md).",
    )
    user_keys: Path = Field(
        default=Path("var/user-keys.txt"),
        description="File of the keys for the hash of users, the newest first; made at the first start. Several "
        "machines that share a record share this file. The state that a form of /try carries is signed with it, too.",
    )
    content_keys: Path | None = Field(
        default=None,
        description="File of the keys that encrypt the content of the record with AES-256-GCM, one a line of 64 "
        "hexadecimal digits, the newest first. Without it nothing is encrypted.",
    )
    seal_key: Path | None = Field(
        default=None,
        description="Ed25519 private key (PEM) with which the record is sealed while the server runs; without it "
        "nothing is sealed (docs/operations/evidence.md).",
    )
    seal_file: Path = Field(
        default=Path("var/seals.ndjson"), description="File to which each seal is added, one line each."
    )
    seal_command: str | None = Field(
        default=None,
        description="Command that gets each seal on its standard input, to send it off the machine.",
    )
    events_file: Path | None = Field(
        default=None,
        description="The file that declares feeds of events (HL7 v2, FHIR subscriptions), what they make the server "
        "compute, and who is told (docs/operations/events.md). Without it nothing of this is loaded.",
    )
    keep_facts: bool = Field(
        default=True,
        description="Whether the lean chart of a call is recorded, once for all decisions that are made with it, so "
        "that a replay gives the same card bit for bit without the request (docs/operations/replay.md, and sizing.md "
        "for the room that it takes). If false, only its hash is kept.",
    )
