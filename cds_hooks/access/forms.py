"""Forms of pages: read within bounds, and refused where another site's page sent them."""

import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from cds_hooks.errors import BadRequest, BodyTooLarge, Forbidden
from cds_hooks.web.visiting import visiting

TOKEN_FIELD: Final = "form_token"  # noqa: S105 - the name of a field
_MOST_BYTES: Final = 64 * 1024
_MOST_FIELDS: Final = 100


def came_from_this_site(headers: Mapping[str, str]) -> bool:
    """Whether a form was sent by a page of this server, or by no browser at all.

    Every browser says with a POST where it comes from: in Sec-Fetch-Site, or where that is not sent (plain http beyond
    this machine) in Origin. Both are out of reach of the scripts of a page.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc == headers.get("host")
    except ValueError:  # as for "http://[", which no browser sends
        return False


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that carries the token of its session, where there is one.

    Raises:
        HookError: as `read_fields`; Forbidden also where the token is missing or of another session.
    """
    fields = await read_fields(request)
    require_token(fields)
    return fields


async def read_fields(request: Request) -> dict[str, str]:
    """The fields of an `application/x-www-form-urlencoded` body; of several of one name the last.

    Raises:
        BadRequest: It is no such form.
        BodyTooLarge: It has more than 64 KB.
        Forbidden: It came from another site.
    """
    if not came_from_this_site(request.headers):
        raise Forbidden("The form did not come from a page of this server, so nothing was done. Open the page again.")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise BadRequest("A form of this page is sent as application/x-www-form-urlencoded.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise BodyTooLarge(f"The form is larger than the {_MOST_BYTES} bytes that are read here.")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"))
    except ValueError as error:
        raise BadRequest("The form cannot be read; open the page again and send it from there.") from error


def require_token(fields: Mapping[str, str]) -> None:
    """Checks that a form carries the token of the session that sends it.

    Raises:
        Forbidden: It does not.
    """
    visitor = visiting().visitor
    given = fields.get(TOKEN_FIELD, "")
    if visitor is not None and not hmac.compare_digest(given.encode("utf-8", "replace"), visitor.form_token.encode()):
        raise Forbidden("The form was not made for this session, so nothing was done. Open the page again.")
