"""The settings of whoever calls: clients and what they support, pages and who may read them, addresses to listen on."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from cds_hooks.settings.checks import address_fault, listen_address, parts_of

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
        "`cds_hooks/dialects` (docs/dialects.md).",
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
    contact: str = Field(
        default="",
        max_length=200,
        description="Whom to call about this server, as /ops and the pages of errors name them: a name, a telephone "
        "number, an address.",
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
