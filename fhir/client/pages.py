"""Where the next page of a search is: below the server's own base address, or nowhere."""

import httpx

from fhir.client.errors import Elsewhere


def next_page(link: str, base: httpx.URL) -> httpx.URL:
    """The absolute address of a `next` link; Elsewhere where it is not the base or below it.

    A link decides where the token goes next, and it comes from outside (checklist row FHIR-21).
    """
    try:
        address = base.join(link)
    except httpx.InvalidURL as error:
        raise Elsewhere from error
    if address.userinfo or address.fragment or not _is_below(address, base):
        raise Elsewhere
    return address


def _is_below(address: httpx.URL, base: httpx.URL) -> bool:
    if (address.scheme, address.host, address.port) != (base.scheme, base.host, base.port):
        return False
    root = base.path.rstrip("/")
    # `path` is decoded once: a dot segment that was written as %2e%2e is one here as well
    if any(part in (".", "..") for part in address.path.replace("\\", "/").split("/")):
        return False
    return address.path == root or address.path.startswith(f"{root}/")
