r"""What HL7 v2 messages bring, whole, as texts: every fact with its order, every count, every refusal, every answer.

python -m tests.cds_hooks.events.pinned --write    # review the difference before you commit it
"""

import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from cds_hooks.events.inbox import Taken
from cds_hooks.events.v2.intake import acknowledge, read_frame
from tests.cds_hooks.events.messages import NOW, feed, message, result
from tests.conftest import ROOT

PINNED: Final = ROOT / "tests" / "cases" / "v2_messages.txt"
_OBR = "OBR|1|P1|F1|24321-2^Panel^LN|||202611200900+0000|||||||||||||||202611201000+0000|||F"
_ORC = "ORC|NW|P7|F7||||||202611200800+0000"
_CODE = "2823-3^Potassium^LN"


def _obx(
    kind: str, value: str, unit: str = "mmol/L", rest: str = "|||||F|||202611200900+0000", code: str = _CODE
) -> str:
    return f"OBX|1|{kind}|{code}||{value}|{unit}{rest}"


def _results(*lines: str, header: str = "") -> bytes:
    return message("ORU^R01^ORU_R01", "1", _OBR, *lines, header=header)


def _visit(
    trigger: str, pv1: str = "PV1|1|I|W1^101^A" + "|" * 16 + "V9", *more: str, evn: str = "202611201000+0000"
) -> bytes:
    return message(f"ADT^{trigger}^ADT_A01", "1", f"EVN|{trigger}|{evn}", pv1, *more)


def _pid(pid: str, *more: str) -> bytes:
    return message("ADT^A08^ADT_A01", "1", "EVN|A08|202611201000+0000", *more).replace(
        b"PID|1||500^^^SOUTH^MR||SAMPLE^SAM||19500102|M", pid.encode()
    )


_VALUES = (
    ("NM", "4.4"), ("NM", "-.5"), ("NM", "5."), ("NM", "140"), ("NM", "+3"), ("NM", "4,4"), ("NM", "<0.01"),
    ("NM", ">= 9"),
    ("NM", "=4"), ("NM", "hemolyzed"), ("NM", "4.4~5.5"), ("NM", ""), ("NM", '""'), ("NM", "0"), ("SN", "<^5"),
    ("SN", "^5"),
    ("SN", "=^5"), ("SN", "~^5"), ("SN", "about^5"), ("SN", "^1^-^3"), ("SN", "^1^/^8"), ("SN", "^1^:^8"), ("SN",
    "^1^+"),
    ("SN", "^1^-^x"), ("SN", "^x^/^8"), ("SN", ">^x"), ("CWE", "A^Positive^L"), ("CE", "^^"), ("DT", "20261119"),
    ("TS", "202611190800"), ("DTM", "never"), ("ST", "4.4"), ("ST", "<0.01"), ("ST", "see note"), ("TX", "4.4"),
    ("FT", r"one\.br\two"), ("TX", "one~two"), ("XX", "1^2"), ("ED", "^pdf"),
)  # fmt: skip


def _messages() -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    for kind, value in _VALUES:
        yield f"{kind} {value}", _results(_obx(kind, value)), {}
    yield "NM 4,4 of a feed with commas", _results(_obx("NM", "4,4")), {"decimal": ","}
    yield "ST 4.4 without a unit", _results(_obx("ST", "4.4", "")), {}
    yield "NM without a unit", _results(_obx("NM", "4.4", "")), {}
    yield "a unit in UCUM", _results(_obx("NM", "4.4", "mmol/L^mmol per L^UCUM")), {}
    yield "a unit with words alone", _results(_obx("NM", "4.4", "^mmol per L")), {}
    yield "a unit that disagrees with the code", _results(_obx("NM", "4.4", "mg/dL")), {}
    yield "a unit that nobody knows", _results(_obx("NM", "4.4", "bottles")), {}
    yield "a molar unit of a mass", _results(_obx("NM", "88", "umol/L", code="2160-0^Creatinine^LN")), {}
    yield "a local code", _results(_obx("NM", "4.4", code="KAL^Kalium^L^2823-3^Potassium^LN")), {}
    yield "a code without a system", _results(_obx("NM", "4.4", code="KAL^Kalium")), {}
    yield "words for a code", _results(_obx("NM", "4.4", code="^Kalium")), {}
    yield "no code", _results(_obx("NM", "4.4", code="")), {}
    for status in "FPCXDWRSIN":
        yield f"status {status}", _results(_obx("NM", "4.4", rest=f"|||||{status}")), {}
    yield "no status", _results(_obx("NM", "4.4", rest="|||||")), {}
    yield "an unknown status", _results(_obx("NM", "4.4", rest="|||||?")), {}
    yield "a range and an interpretation", _results(_obx("NM", "4.4", rest="|3.5-5.1|H|||F|||20261120")), {}
    yield "members of a group and notes", _results(
        "NTE|1||before", f"OBX|1|NM|{_CODE}|1|4.4|mmol/L|||||F", "NTE|1||first", "NTE|2||",
        f"OBX|2|NM|{_CODE}|1|4.5|mmol/L|||||F", "NTE|1||second", "NTE|2||third",
        "OBX|3|ED|X||^pdf", "NTE|1||of a document",
        f"OBX|4|NM|{_CODE}|2|4.6|mmol/L|||||F", f"OBX|5|NM|{_CODE}||4.7|mmol/L|||||F",
    ), {}  # fmt: skip
    yield "a result before its order", message("ORU^R01", "1", _obx("NM", "4.4"), _OBR), {}
    yield "no order", message("ORU^R01", "1", _obx("NM", "4.4")), {}
    yield "a result of tomorrow", _results(_obx("NM", "4.4", rest="|||||F|||20261121")), {}
    for text in (
        "2026",
        "202611",
        "20261120",
        "2026112009",
        "202611200901",
        "20261120090130.5",
        "20261120090160",
        "20261320",
        "2026112",
    ):
        yield f"at {text}", _results(_obx("NM", "4.4", rest=f"|||||F|||{text}")), {}
    for text in ("202611010130", "202603080230", "202611010030", "202603080130", "202611010130-0500"):
        yield (
            f"at {text} in New York",
            _results(_obx("NM", "4.4", rest=f"|||||F|||{text}")),
            {"zone": "America/New_York"},
        )
    for trigger in ("A01", "A02", "A03", "A04", "A05", "A06", "A08", "A11", "A12", "A13", "A28", "A31", "A60"):
        yield f"visit {trigger}", _visit(trigger), {}
    times = "|" * 24
    yield "a visit with times", _visit("A08", f"PV1|1|O|W1{'|' * 16}V9{times}|20261119|20261120"), {}
    yield "a visit that is over", _visit("A02", f"PV1|1|I|W1{'|' * 16}V9{times}||20261120"), {}
    yield "a planned visit", _visit("A02", f"PV1|1|P|W1{'|' * 16}V9"), {}
    yield "a visit without a number", _visit("A01", "PV1|1|I|W1"), {}
    yield "an update without a number", _visit("A08", "PV1|1|I|W1"), {}
    yield "a number a field too late", _visit("A01", f"PV1|1|I|W1{'|' * 17}AB12"), {}
    yield "a financial class", _visit("A01", f"PV1|1|I|W1{'|' * 17}12"), {}
    yield "a discharge that is taken back", _visit("A13", f"PV1|1|E|W1{'|' * 16}V9{times}|20261119|20261120"), {}
    yield (
        "allergies",
        _visit(
            "A08", "AL1|1|DA|70618^Penicillin^RXNORM|SV|Rash", "AL1|2||^Latex|MO", "AL1|3||", "AL1|4||X^Egg^L||Hives"
        ),
        {},
    )
    yield "diagnoses", _visit(
        "A08", "DG1|1|I10|E11.9^Diabetes||20261101|F", "DG1|2||I10^Hypertension^I10|||A", "DG1|3|I10|^Gout|||W",
        "DG1|4||", f"DG1|5|ZZ|Q1^Odd|||{'|' * 15}D",
    ), {}  # fmt: skip
    for pid in (
        'PID|1||500^^^SOUTH^MR||""||""|""', "PID|1||500^^^SOUTH^MR||^SAM||1950|F" + "|" * 21 + "202611200130",
        "PID|1||500^^^SOUTH^MR||S||195001021130|X" + "|" * 22 + "Y",
        "PID|1|600^^^SOUTH", "PID|1||9^^^NORTH^MR~700^^^SOUTH^PI~500^^^SOUTH^MR", "PID|1||9^^^NORTH^MR",
        "PID|1||", 'PID|1||""^^^SOUTH', "PID|1||a b^^^SOUTH^MR",
        '|'.join(["PID", "1", "", "500^^^SOUTH^MR", *[""] * 25, '""']),
    ):  # fmt: skip
        yield pid, _pid(pid), {}
    yield "another authority with its name", _pid("PID|1||9^^^NORTH^MR~7^^^^MR"), {"authority": ""}
    yield "two patients", _results(_obx("NM", "4.4"), "PID|2||501^^^SOUTH^MR", _OBR, _obx("NM", "5.5")), {}
    yield "nobody", message("ADT^A08", "1").replace(b"PID", b"ZID"), {}
    for line in ("MRG|501^^^SOUTH^MR~502^^^SOUTH^MR", "MRG|500^^^SOUTH^MR", "MRG|501^^^NORTH^MR", "ZZZ|1"):
        yield f"merge {line}", message("ADT^A40", "1", "EVN|A40|20261120", line), {}
    for lines in (
        (_ORC, "OBR|1|||24321-2^Panel^LN"), ("OBR|1|P1|F1|24321-2^Panel^LN",), ("OBR|1||F1|24321-2^Panel^LN",),
        ("OBR|1|||24321-2^Panel^LN",),
        ("ORC|CA|P7", "OBR|1|||X^Y"), ("ORC|OC|P7", "OBR|1|||X^Y"), ("ORC|ZZ|P7", "OBR|1|||X^Y"),
        ("ORC|ZZ||F7||CM", "OBR|1|||X^Y"), ("ORC|OC|P8", "RXO|6809^Metformin^RXNORM"), (_ORC,),
        (_ORC, "OBR|1|||"),
    ):  # fmt: skip
        yield " / ".join(lines), message("ORM^O01", "1", *lines), {}
    for rxe in (
        "RXE||6809^Metformin^RXNORM|500||mg||^twice a day", "RXE||6809^Metformin^RXNORM|500|1000|mg",
        "RXE||6809^Metformin^RXNORM|half||^mg", "RXE||6809^Metformin^RXNORM|2.5||^mg||", "RXE||", "RXO|6809^M",
    ):  # fmt: skip
        yield rxe, message("RDE^O11", "1", _ORC, rxe), {}
    for rxa in (
        "RXA|0|1|20261101||140^Flu^CVX", "RXA|0|1|20261101||998^None^CVX", "RXA|0|1|||140^Flu^CVX",
        "RXA|0|1|20261101||", f"RXA|0|1|20261101||140^Flu^CVX{'|' * 15}RE|D",
        f"RXA|0|1|20261101||140^Flu^CVX{'|' * 15}NA",
    ):  # fmt: skip
        yield rxa, message("VXU^V04", "1", rxa), {}
        yield f"ordered, {rxa}", message("VXU^V04", "1", "ORC|RE|P9|F9", rxa), {}
    yield "no vaccination", message("VXU^V04", "1"), {}
    yield "an unknown kind", message("SIU^S12", "1"), {}
    yield "no event", message("", "1"), {}
    yield "training", _visit("A01").replace(b"|P|2.5.1", b"|T|2.5.1"), {}
    yield "training taken", _visit("A01").replace(b"|P|2.5.1", b"|D|2.5.1"), {"training": True}
    whole = result("1", "4.4")
    yield "line feeds", whole.replace(b"\r", b"\n"), {}
    yield "both line ends", whole.replace(b"\r", b"\r\n"), {}
    yield "no last return", whole[:-1], {}
    yield "cut in the unit", whole[:-40], {}
    yield "cut in a segment that is not read", whole + b"ZZZ|1", {}
    yield "cut in a patient", _visit("A01")[:-30], {}
    yield "a byte order mark", b"\xef\xbb\xbf" + whole, {}
    yield "UTF-16", whole.decode().encode("utf-16"), {}
    yield "UTF-16 without a mark", whole.decode().encode("utf-16-le"), {}
    yield "empty", b"\r\n", {}
    yield "no message", b"hello\r", {}
    yield "a line that is no segment", _results("not a segment"), {}
    yield "no control id", message("ADT^A08", ""), {}
    for charset, name in (
        ("8859/1", "latin-1"),
        ("UNICODE UTF-8", "utf-8"),
        ("", "cp1252"),
        ("ASCII", "utf-8"),
        ("8859/1", "utf-8"),
        ("UNICODE UTF-8", "latin-1"),
        ("KLINGON", "utf-8"),
        ("8859/15", "cp1252"),
    ):
        line = "PID|1||500^^^SOUTH^MR||MÜLLER" + ("\x80" if name == "latin-1" and charset == "8859/15" else "")
        text = (
            message("ADT^A08", "1", header=f"||||||{charset}").decode().replace("PID|1||500^^^SOUTH^MR||SAMPLE", line)
        )
        yield f"{charset or 'no set'} in {name}", text.encode(name), {}
    yield "a batch", b"FHS|^~\\&\rBHS|^~\\&\r" + whole + result("2", "5") + b"BTS|2\rFTS|1\r", {}
    yield "a batch that lacks one", b"BHS|^~\\&\r" + whole + b"BTS|2\r", {}
    yield "a batch that says no number", b"BHS|^~\\&\r" + whole + b"BTS\r", {}
    yield "escapes", _results(_obx("ST", r"a\F\b\S\c\T\d\R\e\E\f \X41\ \H\g\N\ \.sp2\x \Zq\ \X\ ")), {}
    yield "enhanced mode", message("ADT^A08", "1", header="|||AL|AL"), {}
    yield "enhanced mode without a commit", message("ADT^A08", "1", header="|||NE|AL"), {}


def text() -> str:
    """Return what each message brings."""
    parts, seen = list[str](), set[str]()
    for name, content, about in _messages():
        parts.append(f"# {name}")
        authority = about.pop("authority", None)
        made = feed(**about)
        if authority is not None:
            made.authority = authority
        for reading in read_frame(content, made, NOW):
            parts += _lines(reading, seen)
            fault = reading.incoming.fault
            taken = Taken(1, "dead", fault) if fault else Taken(1, "done")
            parts += [answer.decode().strip().replace("\r", " / ") for answer in acknowledge(reading, taken, NOW)]
        parts.append("")
    return "\n".join(parts)


def _lines(reading: Any, seen: set[str]) -> Iterator[str]:
    """Yield what a message brings; a fact that an earlier one has brought is not said again."""
    incoming = reading.incoming
    if incoming.fault:
        code = reading.fault.code, reading.fault.rejects
        yield f"refused {code}: {incoming.fault}"
    if incoming.effects is None:
        return
    for fact in incoming.effects.facts:
        if (content := json.dumps(fact.resource, sort_keys=True, ensure_ascii=False)) in seen:
            continue
        seen.add(content)
        yield f"{fact.patient} {fact.at:.1f} {fact.rank} {fact.how} {fact.happened} {' '.join(fact.key)}"
        yield f"  {content}"
    for merge in incoming.effects.merges:
        yield f"merge {merge}"
    counts = {name: count for name, count in incoming.effects.counted.items() if count}
    yield f"counted {counts} latencies {incoming.effects.latencies}"


if __name__ == "__main__" and "--write" in sys.argv:
    PINNED.write_text(text(), encoding="utf-8")
