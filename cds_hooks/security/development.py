"""The one client of the development profile, as the settings describe it."""

from msgspec.structs import replace

from cds_hooks.dialects import DEVELOPMENT, profile_for
from cds_hooks.security.client import ANONYMOUS, TrustedClient
from cds_hooks.settings import Settings


def development_client(configured: Settings) -> TrustedClient:
    """The one client of a server without a trust file."""
    profile = profile_for(
        DEVELOPMENT.name,
        configured.dialect,
        version=configured.protocol_version,
        link_hosts=configured.hosts,
        action_selection_behavior=configured.action_selection_behavior,
    )
    return replace(ANONYMOUS, profile=profile)
