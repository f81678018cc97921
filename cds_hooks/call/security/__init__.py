"""Who may call, and where the server may call: trust file, tokens, keys, addresses (docs/security.md)."""

from pathlib import Path

from cds_hooks.call.security.trust import ANONYMOUS, ANY_NAME, DevelopmentTrust, RegistrableNames, Trust, TrustedClient


def open_trust(
    file: Path | None,
    public_url: str,
    database_url: str,
    *,
    registrable: RegistrableNames = ANY_NAME,
    development: TrustedClient = ANONYMOUS,
) -> Trust:
    """Return the trust of a file; without a file, that of the development profile.

    In the development profile every caller is the client `development`. `public_url` is the address that tokens name;
    `registrable` is what clients can be registered for.

    Raises:
        TrustFileError: the file cannot be used; its message is made of sentences for the operator.
        ReplayStoreFailed: the store of used tokens cannot be opened.
    """
    if file is None:
        return DevelopmentTrust(development)
    # Nothing of trust files, tokens and fetched keys is imported where there is no trust file.
    from cds_hooks.call.security.register import FileTrust
    from cds_hooks.call.security.replay import open_replay_store

    return FileTrust(file, public_url, open_replay_store(database_url), registrable)
