"""Reads the bytes of one HL7 v2 message: character set, line ends, segments; refuses what was cut off.

The library `hl7` reads the delimiters. Fields are split when they are read: the library takes all of a
message apart, which took half the time of a message. What is read although it breaks the
standard is noted.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import hl7
from msgspec import Struct, field

_CHARSETS: Final = {
    "": "", "ASCII": "", "UNICODE": "utf-8", "UNICODEUTF8": "utf-8", "UTF8": "utf-8", "WINDOWS1252": "cp1252",
    **{f"8859{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    "IR87": "iso2022_jp_2", "IR159": "iso2022_jp_2", "GB180302000": "gb18030", "BIG5": "big5", "KSX1001": "euc_kr",
}  # fmt: skip
"""Codes of HL7 table 0211, without signs and without ISO: senders write ISO-8859-1, too."""
_LATIN: Final = frozenset({"iso8859-1", "iso8859-15"})
_UTF_16: Final = {
    b"M\0S\0": "utf-16-le",
    b"\0M\0S": "utf-16-be",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CONTROLS: Final = re.compile(rb"[\x80-\x9f]")
_ESCAPED: Final = r"([FSTREHN]|X(?:[0-9A-Fa-f]{2})+|\.[a-z]{2}[+-]?\d{0,4}|[CM][0-9A-Fa-f]{4,6})"
_BREAKS: Final = {".br": "\n", ".sp": "\n", ".ce": "\n", ".sk": " ", ".in": " ", ".ti": " "}
_ENVELOPE: Final = ("FHS", "BHS", "BTS", "FTS")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_RETURN: Final = re.compile(r"\r\n|\r")
_SEGMENT: Final = re.compile(r"[A-Z][A-Z0-9]{2}")
_READ: Final = frozenset(
    {"MSH", "EVN", "PID", "PV1", "MRG", "ORC", "OBR", "OBX", "AL1", "DG1", "RXE", "RXO", "RXR", "TQ1", "RXA"}
)
"""Segments of which something is read: one of them that ends a message without a line end may be cut off."""
_MOST_PARTS: Final = 100_000
"""Fields, repetitions, components and lines of one message; a report of 5,000 results has fewer."""
_STATUS_OF_RESULT: Final = 11
"""OBX-11 stands behind the value and its unit, so a result that has it has both whole."""


class Unreadable(Exception):
    """A message cannot be read: the code of HL7 table 0357 for its acknowledgment, and a sentence."""

    def __init__(self, text: str, code: str = "102", *, rejects: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.rejects = rejects
        """Whether the message is rejected (AR) because it is of a kind that is not taken, and not in error (AE)."""


class Segment(Struct, frozen=True):
    """One segment, whose fields are numbered as in the standard."""

    name: str
    fields: Sequence[str]
    message: Any
    """The beginning of the header as the library parsed it, with the delimiters."""

    def text(self, number: int, component: int = 1, subcomponent: int = 1, *, repetition: int = 0) -> str:
        """Return the text of a subcomponent without escapes; "" where it is not there."""
        return self.unescaped(self.raw(number, component, subcomponent, repetition=repetition))

    def unescaped(self, raw: str) -> str:
        """Return a text without its escapes; a line break of formatted text is one, and never ends a segment."""
        escape: str = self.message.esc
        if escape not in raw:
            return raw.strip()
        signs = dict(zip("FRSTE", self.message.separators[1:] + escape, strict=False))
        return _escape_sequence(escape).sub(lambda match: _meaning(match[1], signs), raw).strip()

    def raw(self, number: int, component: int = 1, subcomponent: int = 1, *, repetition: int = 0) -> str:
        """Return the text of a subcomponent as it was sent."""
        part = self.fields[number] if number < len(self.fields) else ""
        if not part:
            return ""
        at = (repetition, component - 1, subcomponent - 1)
        for sign, index in zip(self.message.separators[2:], at, strict=False):
            if sign in part:
                parts = part.split(sign)
                part = parts[index] if index < len(parts) else ""
            elif index:
                return ""
        return part

    def repetitions(self, number: int) -> int:
        """Return how often a field is repeated; 0 where it is empty."""
        field = self.whole(number)
        return field.count(self.message.separators[2]) + 1 if field else 0

    def whole(self, number: int) -> str:
        """Return a field with all its components, as it was sent."""
        return self.fields[number] if number < len(self.fields) else ""


def _escape_sequence(escape: str) -> re.Pattern[str]:
    """Return the pattern of the sequences that HL7 knows between two of these signs; any other text stays as it is."""
    return re.compile(re.escape(escape) + _ESCAPED + re.escape(escape))


def _meaning(sequence: str, signs: dict[str, str]) -> str:
    """Return the text of an escape sequence; highlighting and changes of the character set have none."""
    if sequence.startswith("X"):
        content = bytes.fromhex(sequence[1:])
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            return content.decode("iso8859-1")
    return signs.get(sequence) or _BREAKS.get(sequence[:3], "")


class Message(Struct):
    """A message: its header as the acknowledgment needs it, its segments, and what was read out of leniency."""

    segments: list[Segment]
    leniencies: list[str] = field(default_factory=list)
    received_at: float = 0.0

    @property
    def header(self) -> Segment:
        """The segment MSH."""
        return self.segments[0]

    @property
    def control_id(self) -> str:
        """MSH-10, by which the sender knows the message."""
        return self.header.text(10)

    @property
    def event(self) -> str:
        """The type and trigger event, as ORU^R01."""
        kind, trigger = self.header.text(9, 1), self.header.text(9, 2)
        return f"{kind}^{trigger}" if trigger else kind

    @property
    def is_training(self) -> bool:
        """Whether MSH-11 says that the message is for training or debugging."""
        return self.header.text(11) in ("T", "D")

    @property
    def wants_commit(self) -> bool:
        """Whether the sender waits for a commit acknowledgment (enhanced mode, MSH-15)."""
        return self.header.text(15) in ("AL", "SU")

    def all(self, name: str) -> Iterator[Segment]:
        """Yield the segments of this name."""
        return (segment for segment in self.segments if segment.name == name)

    def first(self, name: str) -> Segment | None:
        """Return the first segment of this name; None where there is none."""
        return next(self.all(name), None)


def groups_of(segments: Sequence[Segment], name: str) -> Iterator[Sequence[Segment]]:
    """Yield the segments before the first of this name, then each one of it with the segments up to the next."""
    starts = [at for at, segment in enumerate(segments) if segment.name == name]
    yield from (segments[start:end] for start, end in pairwise([0, *starts, len(segments)]))


def split_batch(content: bytes, charset: str) -> tuple[list[str], list[str]]:
    """Return the texts of the messages in a frame, each with carriage returns, and what was read out of leniency.

    A batch (FHS, BHS) holds several; they are returned only where BTS-1 says as many.

    Raises:
        Unreadable: The frame is empty, in no known character set, cut off, or no HL7 message.
    """
    text, leniencies = _decoded(content, charset)
    if not text.strip():
        raise Unreadable("The frame is empty.", "100", rejects=True)
    if "\n" in text:
        leniencies.append("line-feeds")
    if not text.endswith(("\r", "\n")):
        leniencies.append("no-last-return")
    # Where segments end with a carriage return, as HL7 asks for, a line feed alone stands inside a field.
    ends_with_return = (first_end := _LINE_END.search(text)) is not None and first_end[0] == "\r"
    lines = [line for line in (_RETURN if ends_with_return else _LINE_END).split(text) if line.strip()]
    if not lines[0].startswith(("MSH", "FHS", "BHS")):
        raise Unreadable("The frame does not begin with MSH, FHS or BHS.", "100", rejects=True)
    if "no-last-return" in leniencies:
        _refuse_cut(lines, is_from_file="line-feeds" in leniencies)
    messages: list[list[str]] = []
    counted: str | None = None
    for line in lines:
        name = line[:3]
        if name == "BTS":
            counted = line[4:].split(line[3:4], 1)[0].strip() if len(line) > 4 else None
        if name in _ENVELOPE:
            continue
        if name == "MSH":
            messages.append([])
        if messages:
            messages[-1].append(line)
    if counted and counted != str(len(messages)):
        raise Unreadable(f"BTS-1 says {counted[:9]} messages and the batch holds {len(messages)}.")
    return ["\r".join(message) + "\r" for message in messages], leniencies


def _decoded(content: bytes, charset: str) -> tuple[str, list[str]]:
    """Return the text of a frame, and what was read out of leniency.

    Bytes that are UTF-8 are read as such where a Latin set is declared: its letters in pairs of signs make no word.
    """
    if content[:4] in _UTF_16 or content[:2] in _UTF_16:
        return _strict(content, _UTF_16.get(content[:4]) or _UTF_16[content[:2]], "UTF-16"), ["utf-16"]
    leniencies = []
    if content.startswith(codecs.BOM_UTF8):
        content = content[len(codecs.BOM_UTF8) :]
        leniencies.append("byte-order-mark")
    declared = _declared(content)
    encodings = [_CHARSETS.get(re.sub("[^A-Z0-9]", "", name).removeprefix("ISO")) for name in declared]
    if None in encodings:
        name = declared[encodings.index(None)]
        raise Unreadable(f"MSH-18 names the character set {name[:20]!r}, which is not read here.")
    encoding = next((name for name in encodings if name), "")  # those after the first are reached by escapes
    if encoding not in _LATIN | {""}:
        return _strict(content, encoding, " ".join(declared)), leniencies
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        assumed = encoding or charset
        if assumed in _LATIN and _CONTROLS.search(content):  # Windows writes signs where Latin sets have controls
            assumed = "cp1252"
        if assumed != encoding:
            leniencies.append("charset-assumed")
        return content.decode(assumed, errors="replace"), leniencies
    if encoding and not text.isascii():
        leniencies.append("charset-assumed")
    return text, leniencies


def _strict(content: bytes, encoding: str, name: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(f"The message is not in {name[:40]}, the character set that MSH-18 names.") from error


def _declared(content: bytes) -> list[str]:
    """Return the repetitions of MSH-18, read before anything is decoded."""
    start = content.find(b"MSH")
    line = re.split(rb"[\r\n]", content[start : start + 2000], maxsplit=1)[0]
    if start < 0 or len(line) < 9:
        return []
    fields = line.split(line[3:4])
    value = fields[17] if len(fields) > 17 else b""
    return [name.decode("ascii", "replace").strip().upper() for name in value.split(line[5:6])]


def _refuse_cut(lines: list[str], *, is_from_file: bool) -> None:
    """Messages that come from files end their lines with line feeds and often lack the last one."""
    separator = next((line[3:4] for line in lines if line[:3] in ("MSH", "BHS", "FHS")), "|")
    fields = lines[-1].split(separator or "|")
    is_complete = fields[0] not in _READ or is_from_file
    if fields[0] == "OBX":
        is_complete = len(fields) > _STATUS_OF_RESULT and bool(fields[_STATUS_OF_RESULT].strip())
    if not is_complete:
        raise Unreadable(f"The message ends inside {fields[0][:3]}: it was cut off, and nothing of it was used.", "101")


def parse_message(text: str) -> Message:
    """Return the message of a text.

    Raises:
        Unreadable: It has no usable header, or a line that is no segment.
    """
    if sum(text.count(sign) for sign in {*text[3:8], "\r"}) > _MOST_PARTS:
        raise Unreadable(f"The message has more than {_MOST_PARTS:,} fields, repetitions, components and segments.")
    try:
        start = text.split("\r", 1)[0].split(text[3:4], 2)[:2]
        header = hl7.parse(text[3:4].join(start) + "\r")
        separator = header.separators[1]
    except (hl7.HL7Exception, IndexError, ValueError, AssertionError) as error:
        raise Unreadable("The message cannot be parsed as HL7 v2.", "100") from error
    segments: list[Segment] = []
    for line in text.rstrip("\r").split("\r"):
        fields = line.split(separator)
        if not _SEGMENT.fullmatch(fields[0]):
            raise Unreadable("A line of the message is not a segment: a field contains a line end.", "100")
        if not segments:  # MSH-1 is the separator itself
            fields.insert(1, separator)
        segments.append(Segment(fields[0], fields, header))
    message = Message(segments)
    if not message.control_id or not message.header.text(9):
        raise Unreadable("MSH has no control id (MSH-10) or no message type (MSH-9).", "101")
    return message
