"""The settings of the login to the pages; a part of `Settings`, which alone reads the environment."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings

from cds_hooks.settings.checks import Networks, SafeAddress, networks_of

LoginRole = Literal["viewer", "clinician", "model-owner", "approver", "pharmacist", "operator", "auditor"]
"""The roles that people who log in can have; cds_hooks/access/roles.py says what each opens."""


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
    except ValidationError as error:  # without the values, one of which is a secret
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ValueError(f"{file}: {'; '.join(faults)}") from None
