"""Settings: the only reader of the environment. Every setting is `CDS_` + its name in capitals (docs/settings.md)."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from cds_hooks.login_settings import LoginSettings
from cds_hooks.setting_checks import (
    HOST,
    address_fault,
    listen_address,
    plain_http_fault,
    read_codes,
    read_shares,
    refuse_unknown,
)

ModelState = Literal["validated", "approved", "active"]
"""The release states from which a model may show cards, from the lowest to the highest."""

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK_ORIGINS = "loopback"
_LOOPBACK_PATTERN = r"https?://(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?"


class Settings(LoginSettings):
    """What a site can set; `Settings()` reads the environment and refuses what makes no sense."""

    model_config = SettingsConfigDict(env_prefix="CDS_", extra="ignore")

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
        "machines that share a record share this file.",
    )
    content_key: SecretStr | None = Field(
        default=None,
        description="Key that encrypts the content of the record with AES-256-GCM, 64 hexadecimal digits; older keys "
        "after it, separated by spaces. Without it or CDS_CONTENT_KEYS nothing is encrypted.",
    )
    content_keys: Path | None = Field(
        default=None,
        description="File of the keys that encrypt the content of the record, one a line, the newest first.",
    )
    seal_key: Path | None = Field(
        default=None,
        description="Ed25519 private key (PEM) with which the record is sealed while the server runs; without it "
        "nothing is sealed (docs/operations/evidence.md).",
    )
    seal_file: Path = Field(
        default=Path("var/seals.ndjson"),
        description="File to which each seal is added, one line each.",
    )
    seal_seconds: float = Field(
        default=60, ge=1, le=86_400, description="Time between two seals, in seconds; nothing new, no seal."
    )
    seal_command: str | None = Field(
        default=None,
        description="Command that gets each seal on its standard input, to send it off the machine.",
    )
    seal_url: str | None = Field(
        default=None, description="Address to which each seal is sent by POST; https, or http on loopback."
    )
    counts_file: Path = Field(
        default=Path("var/monitor.sqlite3"),
        description="Where counts of the record are kept, for `cds-hooks monitor`, /ops and finding decisions by rule; "
        "made again where it is not there (docs/operations/monitoring.md).",
    )
    keep_requests: float = Field(
        default=0,
        ge=0,
        le=1,
        description="Share of the calls whose whole request is kept in the record, encrypted and without its token, so "
        "that a replay gives the same card bit for bit (docs/operations/replay.md); needs CDS_CONTENT_KEYS.",
    )
    keep_facts: bool = Field(
        default=True,
        description="Whether each decision keeps the facts that its answer read, so that a replay gives the same card "
        "bit for bit without the request (docs/operations/replay.md, and sizing.md for the room that it takes).",
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
    people_file: Path | None = Field(
        default=None,
        description="TOML file of the people who may approve rules, models and waivers, each with a public key "
        "(docs/operations/approvals.md). Behind a trust file an approval takes the keys of two of them.",
    )
    operator_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Bearer token with which other machines read /metrics and the pages of decisions, where there is "
        "a trust file.",
    )
    operator_listen: str | None = Field(
        default=None,
        description="A second address to listen on, as 127.0.0.1:9085 or unix:/run/cds-hooks/operator.sock: whoever "
        "reaches it reads /metrics and the pages of decisions without the token, where there is a trust file; on "
        "loopback under an address, localhost or the host of CDS_PUBLIC_URL, under no other name.",
    )
    explain_pages: Literal["operator", "everyone"] = Field(
        default="operator",
        description="Who reads the pages of decisions, where there is a trust file: the operator alone, or everyone "
        "who reaches this address, because the site has its own access control in front of it. Cards link to these "
        "pages only where everyone can open them.",
    )
    api_docs: bool = Field(
        default=False,
        description="Show the OpenAPI document (/openapi.json) and its page (/api) where there is a trust file, too; "
        "in the development profile they are always shown.",
    )
    metrics_dir: Path | None = Field(
        default=None,
        description="Folder in which several workers share what they counted; `cds-hooks serve --workers` makes one.",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        description="Address of an OpenTelemetry collector, such as http://127.0.0.1:4318, to which spans of calls and "
        "their stages are sent (OTLP over HTTP); https, or http on loopback. Needs the extra otlp "
        "(docs/operations/traces.md).",
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
        default=LOOPBACK_ORIGINS,
        description=(
            "Origins whose pages may call, separated by commas (development profile): loopback for pages of this "
            "machine, an origin such as https://sandbox.cds-hooks.org, or * for any page that a browser here opens."
        ),
    )
    max_body_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=1024,
        description="Largest request body that is read, in bytes; larger ones are answered 413.",
    )
    max_entries_per_key: int = Field(
        default=10_000,
        ge=100,
        le=100_000,
        description="Most Bundle entries that one prefetch key of a call may hold; more are answered 413. The longest "
        "charts that were measured have 2,274 (docs/decisions/0009-large-calls.md).",
    )
    max_entries: int = Field(
        default=30_000,
        ge=100,
        le=300_000,
        description="Most Bundle entries that all prefetch keys of a call may hold together, and most keys; more are "
        "answered 413. The longest charts that were measured have 6,150.",
    )
    max_drafts: int = Field(
        default=200,
        ge=1,
        le=1000,
        description="Most entries of draftOrders, and most active orders at discharge, that one call may have judged; "
        "more are answered 413.",
    )
    call_seconds: float = Field(
        default=20,
        gt=0,
        le=600,
        description="Longest time from a call's body to its answer, in seconds; then it is answered 503 with "
        "Retry-After and recorded as a failure.",
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
    calls_per_second: int = Field(
        default=10_000,
        ge=1,
        description="Calls of one client that begin in a second in one server process; more are answered 429 with "
        "Retry-After. A trust file can say less for a client.",
    )
    connections: int = Field(
        default=10_000,
        ge=16,
        description="Connections that are open at the same time in one server process, at most three quarters of the "
        "file descriptors it may have; beyond it those that have waited the longest without a request are closed.",
    )
    head_seconds: float = Field(
        default=10,
        gt=0,
        le=600,
        description="Longest time in which the head of a request arrives, in seconds, counted from when the connection "
        "was opened or the last answer given; slower ones are answered 408.",
    )
    answer_seconds: float = Field(
        default=30,
        gt=0,
        le=600,
        description="Longest time in which a client takes an answer, in seconds; then the connection is cut.",
    )
    fetch_milliseconds: int = Field(
        default=400,
        ge=1,
        le=60_000,
        description="Longest time in which one call reads from the client's FHIR server what its prefetch lacks, in "
        "milliseconds, where no trust file says how long.",
    )
    alert_share: float | None = Field(
        default=None,
        gt=0,
        le=0.5,
        description="Share of the reference cohort whose estimates are high enough for a card (0.10: top 10 %), the "
        "same for every model. Not set: each model has its own, which is on its page. A service of the site's own may "
        "name another in its file.",
    )
    alert_shares: str = Field(
        default="",
        description="The same for single models, separated by commas, such as mortality_5y=0.05,readmission_30d=0.1; a "
        "model that takes over for it follows. `cds-hooks model capacity` finds the share for so many cards a day.",
    )
    within_age_band: bool = Field(
        default=False,
        description="Models that have thresholds by age show cards for the highest of the people of the same age "
        "(their page has them), in place of one threshold for all ages; a model that CDS_ALERT_SHARES names, or a "
        "service whose file says share or within_age_band, keeps what is said there (docs/operations/restraint.md).",
    )
    opt_out_flags: str = Field(
        default="",
        description="Codes of a FHIR Flag by which a patient has opted out of estimates and reminders at this site, "
        "each as system|code, separated by commas: HL7 has no such code. A Consent that denies decision support "
        "(TREATDS) and the security label OPTOUT are read without a setting (docs/operations/restraint.md).",
    )
    ask_opt_outs: bool = Field(
        default=False,
        description="Whether the services that an opt-out silences ask for the patient's active Consents, and for "
        "Flags where CDS_OPT_OUT_FLAGS names codes, in their prefetch templates. Where they cannot be had, the cards "
        "say so.",
    )
    shown_rest_days: float = Field(
        default=14,
        ge=0,
        le=90,
        description="How long a finding at patient-view that was shown and that nobody answered rests, in days from "
        "its first showing; on its first day it is shown at each opening. 0: always shown (docs/services.md).",
    )
    pause_share: float = Field(
        default=0.05,
        ge=0,
        le=0.5,
        description="A rule or service of whose cards a smaller share is accepted is paused until a person ends it; "
        "critical cards are shown all the same (docs/operations/restraint.md). 0: nothing is paused.",
    )
    pause_cards: int = Field(
        default=200,
        ge=20,
        description="So many cards of a rule or service, of different patients or days, must have been shown in the "
        "last 90 days before it can be paused.",
    )
    notice_url: str | None = Field(
        default=None,
        description="Address to which a notice is posted, once, when a rule or service is paused; https, or http on "
        "loopback. It has counts of cards and nothing of a patient.",
    )
    models_folder: Path | None = Field(
        default=None,
        description="A folder of the hospital's own: its models, and the services that show them or a published "
        "equation as files NAME.service.toml (docs/adding/hospital-model.md).",
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
    model_state: ModelState = Field(
        default="validated",
        description="Lowest release state in which a model shows cards, with every gate green or waived: validated, "
        "approved (by two people) or active.",
    )
    label_lag_days: float = Field(
        default=3,
        ge=0,
        le=730,
        description="How many days after a model's horizon every outcome is known here, where the model's manifest "
        "says nothing: about 3 for an EHR, 60 to 90 for claims. Before that a prediction is in no figure of "
        "calibration or discrimination (docs/operations/outcomes.md).",
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
    dialect: str = Field(
        default="standard",
        description="The dialect of callers in the development profile: standard, epic, oracle, sandbox, or another of "
        "`cds_hooks/dialects` (docs/dialects.md).",
    )
    protocol_version: Literal["1.0", "1.1", "2.0", "2.0.1", "3.0-ballot", "3.0"] | None = Field(
        default=None,
        description="Version of CDS Hooks that callers in the development profile use: 1.0, 1.1, 2.0, 3.0-ballot or "
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
    try_servers: str = Field(
        default="",
        description="Base addresses of other CDS Hooks servers that the tester's page /try may call, separated by "
        "commas, such as http://127.0.0.1:8086; else it calls this server only.",
    )
    simulation_charts: Path | None = Field(
        default=None,
        description="Folder whose subfolders hold charts (FHIR Bundles or NDJSON) on which a committee may try rules "
        "at /simulations (docs/rules/governance.md).",
    )
    simulations_folder: Path = Field(
        default=Path("var/simulations"),
        description="Where the results of the trials at /simulations are kept for four weeks, encrypted where the "
        "record is.",
    )
    allow_any_host: bool = Field(
        default=False,
        description="Listen on other than loopback addresses in the development profile: only in a container whose "
        "port is published to this machine alone.",
    )
    drain_seconds: float = Field(
        default=3,
        ge=0,
        le=300,
        description="How long a server that got SIGTERM goes on answering, with 503 at /readyz and closing "
        "connections, before it ends, in seconds: as long as the load balancer needs to notice. Ctrl-C does not wait.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged: debug, info, warning or error."
    )

    @field_validator("as_of")
    @classmethod
    def _with_zone(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    @field_validator("public_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if fault := address_fault(value):
            raise ValueError(f"{fault}; write it as https://cds.example.org")
        return value.rstrip("/")

    @field_validator("seal_url", "otlp_endpoint", "notice_url")
    @classmethod
    def _is_safe_address(cls, value: str | None) -> str | None:
        if value is not None and (fault := address_fault(value) or plain_http_fault(value)):
            raise ValueError(f"{fault}; write it as https://seals.example.org/cds")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for origin in filter(None, map(str.strip, value.split(","))):
            if origin not in ("*", LOOPBACK_ORIGINS) and (fault := address_fault(origin, origin=True)):
                raise ValueError(f"{fault}; write an origin as https://ehr.example.org, without a path")
        return value

    @field_validator("try_servers")
    @classmethod
    def _are_servers(cls, value: str) -> str:
        for server in filter(None, map(str.strip, value.split(","))):
            if fault := address_fault(server):
                raise ValueError(f"{fault}; write a server as https://cds.example.org")
        return value

    @field_validator("alert_shares")
    @classmethod
    def _are_shares(cls, value: str) -> str:
        read_shares(value)
        return value

    @field_validator("opt_out_flags")
    @classmethod
    def _are_codes(cls, value: str) -> str:
        read_codes(value)
        return value

    @field_validator("link_hosts")
    @classmethod
    def _are_hosts(cls, value: str | None) -> str | None:
        for host in filter(None, map(str.strip, (value or "").split(","))):
            if not HOST.fullmatch(host):
                raise ValueError("a host is written as www.example.org, without scheme, port and path")
        return value

    @field_validator("operator_listen")
    @classmethod
    def _can_be_listened_on(cls, value: str | None) -> str | None:
        if value is not None and listen_address(value) is None:
            raise ValueError("write it as 127.0.0.1:9085, [::1]:9085 or unix:/run/cds-hooks/operator.sock")
        return value

    @model_validator(mode="after")
    def _keeps_requests_encrypted(self) -> "Settings":
        if self.keep_requests and self.content_keys is None and self.content_key is None:
            raise ValueError("CDS_KEEP_REQUESTS keeps whole requests, encrypted only: set CDS_CONTENT_KEYS as well")
        return self

    @model_validator(mode="after")
    def _asks_all_or_nobody(self) -> "Settings":
        if self.login != "none" and self.explain_pages == "everyone":
            raise ValueError("CDS_LOGIN asks everybody to log in, and CDS_EXPLAIN_PAGES=everyone nobody: choose one")
        if self.explain_link_minutes and self.explain_pages == "everyone":
            raise ValueError("With CDS_EXPLAIN_PAGES=everyone no link ends: choose it or CDS_EXPLAIN_LINK_MINUTES")
        return self

    @property
    def operator_address(self) -> tuple[str, int | None] | None:
        """Host and port of the operator's listener, or the path of its Unix socket and None."""
        return listen_address(self.operator_listen) if self.operator_listen is not None else None

    @property
    def shows_pages(self) -> bool:
        """Whether whoever reaches this address may read the pages of decisions."""
        return self.trust_file is None or self.explain_pages == "everyone"

    @property
    def links_to_pages(self) -> bool:
        """Whether cards link to the pages of decisions: whoever sees a card can open them, or can log in."""
        return self.shows_pages or self.login != "none"

    @property
    def shows_api_docs(self) -> bool:
        """Whether the OpenAPI document and its page are served."""
        return self.trust_file is None or self.api_docs

    @property
    def tester_servers(self) -> tuple[str, ...]:
        """The other servers that the tester's page may call, one by one."""
        return tuple(each.strip().rstrip("/") for each in self.try_servers.split(",") if each.strip())

    @cached_property
    def opt_out_codes(self) -> frozenset[tuple[str, str]]:
        """The codes of a Flag by which a patient has opted out, each with its system."""
        return read_codes(self.opt_out_flags)

    @cached_property
    def shares_by_model(self) -> Mapping[str, float]:
        """The shares of single models, by id."""
        return read_shares(self.alert_shares)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of links one by one."""
        return tuple(host.strip() for host in (self.link_hosts or "").split(",") if host.strip())

    @property
    def origins(self) -> tuple[str, ...]:
        """The CORS origins one by one, without the word for those of this machine."""
        return tuple(origin for origin in self._named_origins if origin != LOOPBACK_ORIGINS)

    @property
    def origin_pattern(self) -> str | None:
        """What the origins of this machine's own pages look like, where these may call."""
        return _LOOPBACK_PATTERN if LOOPBACK_ORIGINS in self._named_origins else None

    @property
    def _named_origins(self) -> tuple[str, ...]:
        return tuple(origin.strip() for origin in self.cors_origins.split(",") if origin.strip())


@cache
def settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        UnknownSetting: The environment has a CDS_ variable that is none.
        pydantic.ValidationError: A value makes no sense.
    """
    refuse_unknown(os.environ, Settings.model_fields)
    return Settings()


def with_settings(configured: Settings, changed: Mapping[str, Any]) -> Settings:
    """The same settings with others in their place, checked.

    Raises:
        pydantic.ValidationError: A value makes no sense.
    """
    return Settings(**{**configured.model_dump(), **changed})
