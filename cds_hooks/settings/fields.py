"""The settings of cards, clients, limits, record and login; parts of `Settings`, which alone reads the environment."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    DirectoryPath,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings

from cds_hooks.settings.checks import (
    AGE_BAND,
    Networks,
    SafeAddress,
    address_fault,
    listen_address,
    networks_of,
    parts_of,
    read_codes,
    read_shares,
    words_of,
)
from fhir.terminology.country import DEFAULT, country_of

ModelState = Literal["validated", "approved"]
"""The release states from which a model may show cards, from the lowest to the highest."""


def _shares(value: object) -> str | None:
    text = None if value is None else str(value)
    read_shares(text or "")
    return text


def _codes(value: str) -> str:
    read_codes(value)
    return value


def _country(value: str) -> str:
    return country_of(value).code


class CardSettings(BaseSettings):
    """Rules, models and which cards are shown."""

    country: Annotated[str, AfterValidator(_country)] = Field(
        default=DEFAULT,
        description="The ISO code of the site's country: where labels differ, that of the country counts, and cards "
        "have its names of drugs and its units (docs/country.md).",
    )
    rules_file: Path | None = Field(
        default=None,
        description="TOML file of what this site says of the medication rules: which are switched off, for whom, and "
        "how many cards may be shown (docs/rules/governance.md).",
    )
    site_rules: Path | None = Field(
        default=None,
        description="A folder of the hospital's own rules, in the language of ours, with tables that replace or extend "
        "our maximum doses and name the drugs that it does not have (docs/adding/site-rules.md).",
    )
    packages: str = Field(
        default="",
        description="Names of installed packages from outside that bring services, dialects, features, equations "
        "or pages of the hospital's own, separated by commas; no other package is loaded. Behind a "
        "trust file two people approve each version (docs/adding/package.md).",
    )
    terminology: Path | None = Field(
        default=None,
        description="The index of the hospital's own releases of terminologies and of its own codes, which "
        "`cds-hooks terminology import` writes, or a folder of such indexes, of which the one is read that two people "
        "have put in force (docs/terminology.md).",
    )
    text_file: Path | None = Field(
        default=None,
        description="TOML file that names the language models that may be asked for summaries of charts; without it "
        "none is asked (docs/text.md).",
    )
    knowledge: DirectoryPath | None = Field(
        default=None,
        description="A folder of published knowledge as FHIR resources: each PlanDefinition in it is a service, which "
        "shows cards once two people have released it (docs/knowledge.md).",
    )
    models_folder: Path | None = Field(
        default=None,
        description="A folder of the hospital's own: its models, the services that show them or a published "
        "equation as files NAME.service.toml (docs/adding/model.md), and hooks that the site defines itself "
        "as hooks.toml (docs/hooks.md).",
    )
    services: str | None = Field(
        default=None,
        description="A file that says which advisors answer at which service, in place of the one that is shipped; the "
        "word separate makes every advisor a service of its own (docs/services.md).",
    )
    model_keys: Path | None = Field(
        default=None,
        description="File of public keys whose signed models are trusted beside the maintainers' "
        "(docs/models/registry.md); whoever trains models names the .pub.json file of the own key here.",
    )
    model_state: ModelState = Field(
        default="validated",
        description="What a model needs to show cards: validated (every gate green or waived), or approved (behind a "
        "trust file by two people, too).",
    )
    alert_share: Annotated[str | None, BeforeValidator(_shares)] = Field(
        default=None,
        description="Share of the reference cohort whose estimates are high enough for a card (0.10: top 10 %), the "
        "same for every model, and for single models MODEL=SHARE, separated by commas, such as 0.1,mortality_5y=0.05; "
        "a model that takes over for a named one follows, and the page of the model shows how many cards each tested "
        "share gives. With the word age-band, models that have thresholds by age and are not named show cards for the "
        "highest of the people of the same age. Not set: each model has its own, which is on its page. A service of "
        "the site's own may say otherwise in its file (docs/operations/restraint.md).",
    )
    opt_out_flags: Annotated[str, AfterValidator(_codes)] = Field(
        default="",
        description="Codes of a FHIR Flag by which a patient has opted out of estimates and reminders at this site, "
        "each as system|code, separated by commas: HL7 has no such code. Where it is set, the services that an opt-out "
        "silences ask for the patient's Flags and active Consents in their prefetch templates; the word consent alone "
        "asks for Consents only. A Consent that denies decision support (TREATDS) and the security label OPTOUT are "
        "read without a setting where a client sends them (docs/operations/restraint.md).",
    )

    @cached_property
    def terminology_is_folder(self) -> bool:
        """Whether it named a folder of indexes when that was first asked, whatever takes its place later."""
        return self.terminology is not None and self.terminology.is_dir()

    @property
    def kfre_region(self) -> str:
        """The calibration of the kidney failure risk equation in the site's country."""
        return country_of(self.country).kfre_region

    @property
    def package_names(self) -> tuple[str, ...]:
        """The names of the packages from outside."""
        return tuple(parts_of(self.packages))

    @property
    def hooks_file(self) -> Path | None:
        """The file of hooks that the site declares itself, hooks.toml in its folder (docs/hooks.md)."""
        files = (self.models_folder / name for name in ("hooks.toml", "hooks.json")) if self.models_folder else ()
        return next((file for file in files if file.is_file()), None)

    @property
    def asks_opt_outs(self) -> bool:
        """Whether services ask for what says that a patient has opted out."""
        return bool(parts_of(self.opt_out_flags))

    @cached_property
    def opt_out_codes(self) -> frozenset[tuple[str, str]]:
        """The codes of a Flag by which a patient has opted out, each with its system."""
        return read_codes(self.opt_out_flags)

    @cached_property
    def shares_by_model(self) -> Mapping[str, float]:
        """The shares of single models, by id."""
        return {model: share for model, share in read_shares(self.alert_share or "").items() if model}

    @property
    def share_of_all_models(self) -> float | None:
        """The share of every model that has none of its own."""
        return read_shares(self.alert_share or "").get("")

    @property
    def within_age_band(self) -> bool:
        """Whether models that have thresholds by age use them."""
        return AGE_BAND in parts_of(self.alert_share or "")


LOOPBACK_ORIGINS = "loopback"
_LOOPBACK_PATTERN = r"https?://(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?"


def _address(value: str) -> str:
    if fault := address_fault(value):
        raise ValueError(f"{fault}; write it as https://cds.example.org")
    return value.rstrip("/")


def _origins(value: str) -> str:
    for origin in parts_of(value):
        if origin not in ("*", LOOPBACK_ORIGINS) and (fault := address_fault(origin, origin=True)):
            raise ValueError(f"{fault}; write an origin as https://ehr.example.org, without a path")
    return value


def _listen(value: str | None) -> str | None:
    if value is not None and listen_address(value) is None:
        raise ValueError("write it as 127.0.0.1:9085, [::1]:9085 or unix:/run/cds-hooks/operator.sock")
    return value


class ClientSettings(BaseSettings):
    """Clients, pages and addresses."""

    trust_file: Path | None = Field(
        default=None,
        description="The file that says which clients may call and which FHIR servers may be read "
        "(docs/operations/trust.md). Without it: the development profile.",
    )
    dialect: str = Field(
        default="standard",
        description="The dialect of callers in the development profile: standard, epic, oracle, sandbox, or another of "
        "`cds_hooks/call/dialects` (docs/dialects.md).",
    )
    protocol_version: Literal["1.0", "1.1", "2.0", "2.0.1", "3.0-ballot", "3.0"] | None = Field(
        default=None,
        description="Version of CDS Hooks that callers in the development profile use: 1.0, 1.1, 2.0, 3.0-ballot or "
        "3.0; else that of their dialect (2.0, and 1.0 for oracle). In the trust file each client has its own.",
    )
    cors_origins: Annotated[str, AfterValidator(_origins)] = Field(
        default=LOOPBACK_ORIGINS,
        description=(
            "Origins whose pages may call, separated by commas (development profile): loopback for pages of this "
            "machine, an origin such as https://sandbox.cds-hooks.org, or * for any page that a browser here opens."
        ),
    )
    public_url: Annotated[str, AfterValidator(_address)] = Field(
        default="http://127.0.0.1:8085",
        description="The address under which clinicians' browsers reach this server; links on cards start with it.",
    )
    explain_pages: Literal["operator", "everyone"] = Field(
        default="operator",
        description="Who reads the pages of decisions, where there is a trust file: the operator alone, or everyone "
        "who reaches this address, because the site has its own access control in front of it. Cards link to these "
        "pages only where everyone can open them.",
    )
    operator_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Bearer token with which other machines read /metrics and the pages of decisions, where there is "
        "a trust file.",
    )
    operator_listen: Annotated[str | None, AfterValidator(_listen)] = Field(
        default=None,
        description="A second address to listen on, as 127.0.0.1:9085 or unix:/run/cds-hooks/operator.sock: whoever "
        "reaches it reads /metrics and the pages of decisions without the token, where there is a trust file; on "
        "loopback under an address, localhost or the host of CDS_PUBLIC_URL, under no other name. At an address that "
        "other machines reach it needs CDS_OPERATOR_TOKEN or CDS_LOGIN, which are asked for there.",
    )

    @property
    def operator_address(self) -> tuple[str, int | None] | None:
        """Host and port of the operator's listener, or the path of its Unix socket and None."""
        return listen_address(self.operator_listen) if self.operator_listen is not None else None

    @property
    def shows_pages(self) -> bool:
        """Whether whoever reaches this address may read the pages of decisions."""
        return self.trust_file is None or self.explain_pages == "everyone"

    @property
    def origins(self) -> tuple[str, ...]:
        """The CORS origins one by one, without the word for those of this machine."""
        return tuple(origin for origin in parts_of(self.cors_origins) if origin != LOOPBACK_ORIGINS)

    @property
    def origin_pattern(self) -> str | None:
        """What the origins of this machine's own pages look like, where these may call."""
        return _LOOPBACK_PATTERN if LOOPBACK_ORIGINS in parts_of(self.cors_origins) else None


class LimitSettings(BaseSettings):
    """Limits of calls and connections."""

    call_seconds: float = Field(
        default=20,
        gt=0,
        le=600,
        description="Longest time from a call's body to its answer, in seconds; then it is answered 503 with "
        "Retry-After and recorded as a failure.",
    )
    drain_seconds: float = Field(
        default=3,
        ge=0,
        le=300,
        description="How long a server that got SIGTERM goes on answering, with 503 at /readyz and closing "
        "connections, before it ends, in seconds: as long as the load balancer needs to notice. Ctrl-C does not wait.",
    )


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
        "that a replay gives the same card bit for bit without the request (docs/operations/replay.md). "
        "If false, only its hash is kept.",
    )


LoginRole = Literal["viewer", "clinician", "model-owner", "approver", "pharmacist", "operator", "auditor"]
"""The roles that people who log in can have; cds_hooks/people/access/roles.py says what each opens."""


class OpenIdProvider(BaseModel):
    """The site's OpenID provider as `CDS_OIDC_FILE` describes it.

    `roles` says which group has which role; the groups are in `roles_claim` of the ID token, else in the provider's
    userinfo. Without a secret this server is a public client, which PKCE protects.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: SafeAddress
    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = None
    roles_claim: str = "groups"
    scopes: str = Field(default="openid profile", pattern=r"^openid( [!#-\[\]-~]+)*$")
    roles: dict[str, LoginRole] = Field(min_length=1)


class LoginSettings(BaseSettings):
    """Who may open pages, and the site's OpenID provider."""

    login: Literal["none", "accounts", "oidc", "both"] = Field(
        default="none",
        description="Who may open pages: none (no login; what is open stays so, docs/operations/trust.md), people with "
        "accounts made by `cds-hooks accounts`, people who log in at the site's OpenID provider (oidc), or both "
        "(docs/operations/access.md).",
    )
    explain_link_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="With it the link of a card opens the page of its decision for 60 minutes without a login; else a "
        "link alone opens nothing. The secret by which these links are signed: 32 or more random characters, the same "
        "for all workers and machines of a record. A new one ends all links (docs/operations/access.md).",
    )
    trusted_proxies: str = Field(
        default="",
        description="Networks of the proxies whose X-Forwarded-For says where a login comes from, as "
        "`127.0.0.1/32, 10.0.0.0/24`; without it the address of the connection counts. They give each call an id of "
        "their own in X-Request-ID, by which a call that they send again is known (docs/operations/install.md).",
    )
    oidc_file: Path | None = Field(
        default=None,
        description="TOML file of the site's OpenID provider, for CDS_LOGIN=oidc or both: its issuer, our client_id "
        "and client_secret there, and which groups have which role (docs/operations/access.md).",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        networks_of(value)  # its ValueError says what is wrong
        return value

    @property
    def proxy_networks(self) -> Networks:
        """Return the networks of `trusted_proxies`; who asks for them at each call keeps them."""
        return networks_of(self.trusted_proxies)

    @model_validator(mode="after")
    def _knows_its_provider(self) -> "LoginSettings":
        if self.login in ("oidc", "both") and self.oidc_file is None:
            raise ValueError(f"CDS_LOGIN={self.login} needs CDS_OIDC_FILE (docs/operations/access.md)")
        if self.oidc_file is not None:
            read_provider(self.oidc_file)
        return self


def read_provider(file: Path) -> OpenIdProvider:
    """Return the site's OpenID provider as the file describes it.

    Raises:
        ValueError: The file cannot be read, or a member is missing, unknown or makes no sense.
    """
    from fhir.terminology.toml_file import TomlFault, read_toml

    try:
        return OpenIdProvider.model_validate(read_toml(file))
    except TomlFault as error:
        raise ValueError(f"{file} {error}") from error
    except ValidationError as error:  # of the values, one of which is a secret, only a word that is no role is shown
        faults = []
        for fault in error.errors():
            words = words_of(fault, with_value=True)
            mark = "" if words.startswith(("must", "is ")) else ":"
            faults.append(f"{file}: `{'.'.join(map(str, fault['loc']))}`{mark} {words}")
        raise ValueError("\n".join(faults)) from None
