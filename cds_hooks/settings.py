"""Settings: the only reader of the environment. Every setting is `CDS_` + its name in capitals (docs/settings.md)."""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """What a site can set; `Settings()` reads the environment and refuses what makes no sense."""

    model_config = SettingsConfigDict(env_prefix="CDS_", extra="ignore")

    database_url: str = Field(
        default="sqlite:///var/decisions.sqlite3",
        description="Where decisions are recorded: an SQLAlchemy URL, SQLite or PostgreSQL.",
    )
    data_dir: Path = Field(
        default=ROOT.parent / "shared" / "data",
        description="Folder of other people's data (patients, training tables, published cases): training and tests.",
    )
    spec_dir: Path = Field(
        default=ROOT.parent / "shared" / "spec",
        description="Folder of the official examples and the FHIR R4 schema, for tests.",
    )
    trust_file: Path | None = Field(
        default=None,
        description="The file that says which clients may call and which FHIR servers may be read "
        "(docs/operations/trust.md). Without it: the development profile.",
    )
    rules_file: Path | None = Field(
        default=None,
        description="TOML file of what this site says of the medication rules: which versions are approved, which are "
        "switched off (docs/rules/governance.md).",
    )
    operator_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Bearer token with which other machines read /metrics and the pages of decisions, where there is "
        "a trust file; without it only this machine itself can.",
    )
    explain_pages: Literal["operator", "everyone"] = Field(
        default="operator",
        description="Who reads the pages of decisions, where there is a trust file: the operator alone, or everyone "
        "who reaches this address, because the site has its own access control in front of it. Cards link to these "
        "pages only where everyone can open them.",
    )
    metrics_dir: Path | None = Field(
        default=None,
        description="Folder in which several workers share what they counted; `cds-hooks serve --workers` makes one.",
    )
    as_of: datetime | None = Field(
        default=None,
        description="An ISO instant that replaces the clock. For tests and replays in the development profile only.",
    )
    public_url: str = Field(
        default="http://127.0.0.1:8085",
        description="The address under which clinicians' browsers reach this server; links on cards start with it.",
    )
    cors_origins: str = Field(
        default="*",
        description="Origins whose browsers may call, separated by commas; * for any (development profile).",
    )
    max_body_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=1024,
        description="Largest request body that is read, in bytes; larger ones are answered 413.",
    )
    body_seconds: float = Field(
        default=10,
        gt=0,
        le=600,
        description="Longest time in which a request body arrives, in seconds; slower ones are answered 408.",
    )
    concurrent_calls: int = Field(
        default=256,
        ge=1,
        description="Calls of one client under way at the same time in one server process, where no trust file "
        "says how many; more are answered 429.",
    )
    fetch_milliseconds: int = Field(
        default=400,
        ge=1,
        le=60_000,
        description="Longest time in which one call reads from the client's FHIR server what its prefetch lacks, in "
        "milliseconds, where no trust file says how long.",
    )
    alert_share: float = Field(
        default=0.10,
        gt=0,
        le=0.5,
        description="Share of the reference cohort whose estimates are high enough for a model card (0.10: top 10 %).",
    )
    model_keys: Path | None = Field(
        default=None,
        description="File of public keys whose signed models are trusted beside the maintainers' "
        "(docs/models/registry.md); whoever trains models names the .pub.json file of the own key here.",
    )
    model_signing_key: Path | None = Field(
        default=None,
        description="The private key that signs models trained here; default var/model-signing-key.pem, made at the "
        "first training.",
    )
    model_state: Literal["validated", "approved", "active"] = Field(
        default="validated",
        description="Lowest release state in which a model shows cards, with every gate green or waived: validated, "
        "approved (by two people) or active.",
    )
    kfre_region: Literal["north_america", "non_north_america"] = Field(
        default="north_america",
        description="Calibration of the kidney failure risk equation at this site: north_america or non_north_america.",
    )
    referral_risk: float = Field(
        default=0.03,
        ge=0.03,
        le=0.05,
        description="5-year risk of kidney failure from which a referral to nephrology is discussed: KDIGO 2024 gives "
        "0.03 to 0.05 and lets the site choose.",
    )
    dialect: Literal["standard", "epic", "oracle", "sandbox"] = Field(
        default="standard",
        description="How callers of the development profile speak: standard, epic, oracle or sandbox.",
    )
    protocol_version: Literal["1.0", "1.1", "2.0", "2.0.1", "3.0-ballot", "3.0"] | None = Field(
        default=None,
        description="Version of CDS Hooks that callers of the development profile speak: 1.0, 1.1, 2.0, 3.0-ballot or "
        "3.0; else that of their dialect (2.0, and 1.0 for oracle).",
    )
    link_hosts: str | None = Field(
        default=None,
        description="Hosts that cards may link to in the development profile, separated by commas; else any.",
    )
    action_selection_behavior: bool = Field(
        default=False,
        description="Whether callers of the development profile support actionSelectionBehavior (CDS Hooks 3.0).",
    )
    hooks_file: Path | None = Field(
        default=None,
        description="TOML or JSON file of hooks that the site defines itself (docs/hooks.md).",
    )
    allow_any_host: bool = Field(
        default=False,
        description="Listen on other than loopback addresses in the development profile: only in a container whose "
        "port is published to this machine alone.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged: debug, info, warning or error."
    )

    @field_validator("as_of")
    @classmethod
    def _with_zone(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    @property
    def shows_pages(self) -> bool:
        """Whether whoever reaches this address may read the pages of decisions."""
        return self.trust_file is None or self.explain_pages == "everyone"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of links one by one."""
        return tuple(host.strip() for host in (self.link_hosts or "").split(",") if host.strip())

    @property
    def origins(self) -> tuple[str, ...]:
        """The CORS origins one by one."""
        return tuple(origin.strip() for origin in self.cors_origins.split(",") if origin.strip())


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
