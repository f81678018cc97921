"""The settings of the login to the pages; a part of `Settings`, which alone reads the environment."""

from ipaddress import ip_network
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from cds_hooks.settings.checks import SafeAddress, parts_of

LOGIN_ROLES = ("viewer", "clinician", "model-owner", "approver", "pharmacist", "operator", "auditor")
"""The roles that people who log in can have; cds_hooks/access/roles.py says what each opens."""


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
    oidc_issuer: SafeAddress = Field(
        default=None,
        description="The site's OpenID provider by its issuer, such as https://login.example.org/realms/site; https, "
        "or http on loopback.",
    )
    oidc_client_id: str | None = Field(default=None, description="The id under which this server is registered there.")
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="Its secret there; without one it is a public client, which PKCE protects."
    )
    oidc_roles_claim: str = Field(
        default="groups", description="The claim of the provider's ID token that lists the groups of a person."
    )
    oidc_scopes: str = Field(
        default="openid profile",
        pattern=r"^openid( [!#-\[\]-~]+)*$",
        description="What is asked for at a login; `openid profile groups` where the provider has a scope for groups. "
        "Groups that the ID token lacks are read from the provider's userinfo.",
    )
    oidc_roles: str = Field(
        default="",
        description="Which groups have which role, as `cds-operators=operator, pharmacy=pharmacist`.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for part in parts_of(value):
            ip_network(part)  # its ValueError says what is wrong
        return value

    @field_validator("oidc_roles")
    @classmethod
    def _are_roles(cls, value: str) -> str:
        for part in parts_of(value):
            group, equals, role = map(str.strip, part.rpartition("="))
            if not (group and equals and role in LOGIN_ROLES):
                raise ValueError(f"write GROUP=ROLE with one of the roles {', '.join(LOGIN_ROLES)}")
        return value

    @model_validator(mode="after")
    def _knows_its_provider(self) -> "LoginSettings":
        if self.login in ("oidc", "both"):
            needed = ("oidc_issuer", "oidc_client_id", "oidc_roles")
            if missing := [f"CDS_{name.upper()}" for name in needed if not getattr(self, name)]:
                raise ValueError(f"CDS_LOGIN={self.login} needs {' and '.join(missing)} (docs/operations/access.md)")
        return self

    @property
    def oidc_role_map(self) -> dict[str, str]:
        """The role of each group of the site's provider."""
        parts = (part.rpartition("=") for part in parts_of(self.oidc_roles))
        return {group.strip(): role.strip() for group, _, role in parts}
