"""The text of what is attached to a document: plain text, HTML, RTF, and PDF by the library pypdf."""

import base64
import binascii
import html
import io
import logging
import re
from collections.abc import Mapping
from typing import Any, Final

_TAG: Final = re.compile(r"<[^<>]{0,500}>")
_END_OF_LINE: Final = re.compile(r"<(?:br|/p|/div|/li|/tr|/h\d)\b[^>]{0,100}>", re.IGNORECASE)
_NOT_TEXT: Final = re.compile(r"<(?:script|style|!--)", re.IGNORECASE)
_ENDS_OF_NOT_TEXT: Final = {
    "<script": re.compile("</script", re.IGNORECASE),
    "<style": re.compile("</style", re.IGNORECASE),
    "<!--": re.compile("-->"),
}
_RTF: Final = re.compile(r"\\'[0-9a-f]{2}|\\[a-z]+-?\d* ?|[{}]")
_MOST_BYTES_OF_PDF: Final = 5_000_000
_MOST_PAGES: Final = 50
_MOST_CHARACTERS: Final = 200_000


class UnreadAttachment(ValueError):
    """An attachment whose text cannot be had; the message says why, without anything of its content."""


def read_attachment(attachment: Mapping[str, Any]) -> str:
    """Return the text of a FHIR Attachment, markup left out; "" where it holds no data, or is an image or a sound.

    Raises:
        UnreadAttachment: It is no base64, or a PDF that has no text, is encrypted, broken or too large.
    """
    try:
        content = base64.b64decode(str(attachment.get("data") or ""))
    except (binascii.Error, ValueError) as error:
        raise UnreadAttachment("it is not written in base64") from error
    kind = str(attachment.get("contentType") or "text/plain").lower()
    if "pdf" in kind:
        return _text_of_pdf(content) if content else ""
    text = content.decode("utf-8", "replace")
    if "html" in kind or "xml" in kind:
        return without_markup(text)
    if "rtf" in kind:
        return _RTF.sub(lambda match: "\n" if match[0].startswith(("\\par", "\\line")) else "", text)
    return text if kind.startswith("text/") else ""


def without_markup(text: str) -> str:
    """Return the text of HTML, each paragraph, row and item on a line of its own."""
    return html.unescape(_TAG.sub(" ", _END_OF_LINE.sub("\n", _without_programs(text))))


def _without_programs(text: str) -> str:
    """Return the text but scripts, styles and comments; what is never closed goes on to the end, as in a browser."""
    kept: list[str] = []
    position = 0
    while (opened := _NOT_TEXT.search(text, position)) is not None:
        kept.append(text[position : opened.start()])
        closed = _ENDS_OF_NOT_TEXT[opened[0].lower()].search(text, opened.end())
        position = closed.end() if closed is not None else len(text)
    return f"{' '.join(kept)} {text[position:].removeprefix('>')}" if kept else text


def _text_of_pdf(content: bytes) -> str:
    if len(content) > _MOST_BYTES_OF_PDF:
        raise UnreadAttachment(f"the PDF has more than {_MOST_BYTES_OF_PDF // 1_000_000} MB")
    try:
        from pypdf import PdfReader
    except ImportError as error:
        raise UnreadAttachment("PDF files are read with pip install 'cds-hooks-onnx[text]'") from error
    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)  # it names what stands in a broken file
    try:
        pages = PdfReader(io.BytesIO(content)).pages
        if len(pages) > _MOST_PAGES:
            raise UnreadAttachment(f"the PDF has more than {_MOST_PAGES} pages")
        text = "\n".join(page.extract_text() for page in pages)
    except UnreadAttachment:
        raise
    except Exception as error:  # of a broken file the library raises what it comes upon
        raise UnreadAttachment("the PDF is broken or encrypted") from error
    if not text.strip():
        raise UnreadAttachment("the PDF has no text, as one that was scanned")
    if len(text) > _MOST_CHARACTERS:
        raise UnreadAttachment(f"the PDF has more than {_MOST_CHARACTERS:,} characters")
    return text
