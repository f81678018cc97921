"""Reads the forms of the pages within bounds, and refuses those that another site's page sent."""

import asyncio
import hmac
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from cds_hooks.errors import BadRequest, BodyTooLarge, Forbidden, RequestTimeout
from cds_hooks.people.web.visitor import visiting

TOKEN_FIELD: Final = "form_token"  # noqa: S105 - the name of a field
MOST_BYTES: Final = 64 * 1024
_MOST_FIELDS: Final = 100
_UPLOAD: Final = "multipart/form-data"
_BOUNDARY: Final = re.compile(r"""\bboundary="?([0-9A-Za-z'()+_,./:=?-]{1,70})""")
_FIELD: Final = re.compile(
    rb'^content-disposition: ?form-data;[^\r\n]{0,200}?\bname="([^"\r\n]{1,100})"', re.MULTILINE | re.IGNORECASE
)

Form = Mapping[str, str]
"""The fields of a form by name; of several of one name the last. A file is its text, "" where none was chosen."""


def came_from_this_site(headers: Mapping[str, str]) -> bool:
    """Return whether a form was sent by a page of this server, or by no browser at all.

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


async def read_form(
    request: Request, seconds: float, most_bytes: int = MOST_BYTES, *, upload: bool = False, of_session: bool
) -> Form:
    """Return the fields of a posted form: `multipart/form-data` for one with files (`upload`), else URL-encoded.

    `of_session`: it has the token of the session that sends it, where there is one.

    Raises:
        BadRequest: it is no such form.
        BodyTooLarge: it has more than `most_bytes`.
        Forbidden: it lacks the token of the session that sends it.
        RequestTimeout: it did not arrive within `seconds`.
    """
    content_type = request.headers.get("content-type", "")
    expected = _UPLOAD if upload else "application/x-www-form-urlencoded"
    if content_type.partition(";")[0].strip().lower() != expected:
        raise BadRequest(f"A form of this page is sent as {expected}; open the page again and use its buttons.")
    body = await _read_body(request, seconds, most_bytes)
    fields = await asyncio.to_thread(_parse_upload, content_type, body) if upload else _parse_fields(body)
    if any("\x00" in text for text in fields.values()):  # which PostgreSQL does not take
        raise BadRequest("A field of the form holds the character U+0000; leave it out.")
    if of_session:
        visitor = visiting().visitor
        token = fields.get(TOKEN_FIELD, "").encode("utf-8", "replace")
        if visitor is not None and not hmac.compare_digest(token, visitor.form_token.encode()):
            raise Forbidden("The form was not made for this session, so nothing was done. Open the page again.")
    return fields


async def _read_body(request: Request, seconds: float, most_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most_bytes:
                    raise BodyTooLarge(
                        f"The form must have at most {most_bytes} bytes; received more. Nothing of the form was used."
                    )
                chunks.append(chunk)
    except TimeoutError as error:
        raise RequestTimeout(f"The form did not arrive within {seconds:g} seconds.") from error
    return b"".join(chunks)


def _parse_fields(body: bytes) -> Form:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"))
    except ValueError as error:
        raise BadRequest("The form cannot be read; open the page again and send it from there.") from error


def _parse_upload(content_type: str, body: bytes) -> Form:
    """Return the fields as browsers write them (RFC 7578); a part without a name of at most 100 characters is left out.

    Not with `email.parser`: it takes minutes for a header of brackets, or fails.
    """
    boundary = _BOUNDARY.search(content_type)
    parts = body.split(b"--" + boundary[1].encode()) if boundary is not None else []
    if len(parts) < 3 or not parts[-1].startswith(b"--") or len(parts) > _MOST_FIELDS:
        raise BadRequest("The form did not arrive whole; send it again.")
    fields = {}
    for part in parts[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = _FIELD.search(head)
        if name is not None:
            fields[name[1].decode("utf-8", "replace")] = _text(content.removesuffix(b"\r\n"))
    return fields


def _text(content: bytes) -> str:
    if content[:2] == b"\x1f\x8b":
        raise BadRequest("The file is compressed; unpack it first, it is read as JSON.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest("A field of the form is not UTF-8 text; send JSON.") from error
