"""Reads what the tester's page posts, and refuses a form that another site's page sent.

There is no session: everything that the page knows stands in its form, so that it works with any number of workers and
nothing of a chart is kept here. The form is `multipart/form-data`, because a file may be among its fields.
"""

import asyncio
from collections.abc import Mapping
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from email.policy import HTTP
from typing import Final, cast

from starlette.requests import Request

from cds_hooks.errors import BodyTooLarge, RequestTimeout

Form = Mapping[str, str]
"""The fields of a form by name; of several of one name the last."""

_FORMS_OF_A_BODY: Final = 3
"""A form carries the request, the answers and a chart that was uploaded: so many times the longest body of a call."""


class UnusableForm(ValueError):
    """The form, or a file in it, cannot be read; the message says what to do."""


async def read_body(request: Request, most_bytes: int, seconds: float) -> bytes:
    """The body of a posted form.

    Raises:
        BodyTooLarge: it is larger than what a page of this server can have sent.
        RequestTimeout: it did not arrive in time.
    """
    most = _FORMS_OF_A_BODY * most_bytes
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise BodyTooLarge(f"The form is larger than the {most} bytes that are read here.")
                chunks.append(chunk)
    except TimeoutError as error:
        raise RequestTimeout(f"The form did not arrive within {seconds:g} seconds.") from error
    return b"".join(chunks)


def parse_form(content_type: str, body: bytes) -> Form:
    """The fields of a `multipart/form-data` body; a file is its text, and "" where none was chosen.

    Raises:
        UnusableForm: it is no such form, or a field is not UTF-8.
    """
    if not content_type.lower().startswith("multipart/form-data"):
        raise UnusableForm("The page sends its form as multipart/form-data; open /try again and use its buttons.")
    head = b"content-type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    whole = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + body)
    if not whole.is_multipart():
        raise UnusableForm("The form did not arrive whole; send it again.")
    return {name: text for part in whole.iter_parts() if (name := _name(part)) for text in (_text(part, name),)}


def _name(part: MIMEPart) -> str:
    return str(part.get_param("name", "", "content-disposition"))


def _text(part: MIMEPart, name: str) -> str:
    content = cast("bytes", part.get_payload(decode=True) or b"")
    if content[:2] == b"\x1f\x8b":
        raise UnusableForm("The file is compressed; unpack it first, it is read as JSON.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableForm(f"The field {name} is not UTF-8 text; send JSON.") from error
