"""When certificates end: their files stay as they are, and at that time nothing connects any more."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cds_hooks.call.security.addresses import KeySetUrl
from cds_hooks.call.security.trust import TrustedClient

_TOLD_BEFORE: Final = timedelta(days=7)
_TOLD_SHARE: Final = 5
"""Whoever renews does it with a third of the time left, so less than a fifth means that it failed, be it of a day."""


class Certificates(NamedTuple):
    """Certificates of one file or entry."""

    name: str
    pem: bytes
    end: Callable[[Iterable[datetime]], datetime]
    """`min` for a chain, of which each is needed; `max` for authorities, of which one may be an old one."""


def authorities_of(clients: Iterable[TrustedClient]) -> list[Certificates]:
    """Return the site's own authorities of FHIR servers and key sets; nobody but the operator reads clients' names."""
    reaches = {base.reach for client in clients for base in client.fhir}
    reaches |= {client.key_source.reach for client in clients if isinstance(client.key_source, KeySetUrl)}
    texts = sorted({reach.authorities for reach in reaches if reach.authorities is not None})
    return [Certificates("The authority (ca_file) of a client", text.encode(), max) for text in texts]


def ending_certificate(all_certificates: Iterable[Certificates], now: datetime | None = None) -> str:
    """Return a sentence about the first that has ended or was not renewed in time, else ""."""
    from cryptography.x509 import load_pem_x509_certificates  # only a site that has some needs it

    now = now or datetime.now(UTC)
    for certificates in all_certificates:
        try:
            loaded = load_pem_x509_certificates(certificates.pem)
        except ValueError:  # a form that only OpenSSL reads ("TRUSTED CERTIFICATE"): its end cannot be told
            continue
        begins = {one.not_valid_after_utc: one.not_valid_before_utc for one in loaded}
        end = certificates.end(begins)
        if end - now < min(_TOLD_BEFORE, (end - begins[end]) / _TOLD_SHARE):
            verb = "ended" if end <= now else "ends"
            return f"{certificates.name} {verb} at {end:%Y-%m-%d %H:%M} UTC: renew it, or connections are refused."
    return ""
