"""What a person checks first about an incident of the watch, by its kind."""

from typing import Final

FIRST_CHECKS: Final = {
    "silent": "Is the sender running, and does its interface engine hold messages for this server?",
    "low": "Is today a holiday that is not declared? Does a part of the sender's devices or wards not send?",
    "flapping": "Does the connection break again and again? Look at the sender's log and the network.",
    "more": "Is the sender sending for more wards or patients? From now on that is learned as usual.",
    "fewer": "All feeds of one origin have fewer messages, by the same share: a storm, a strike, a holiday?",
    "flood": "Is the sender sending a time again? Nothing is decided twice.",
    "resend": "Is the sender sending a time again? Duplicates have no effect.",
    "late": "Is a queue of the sender or of this server growing?",
    "clock": "Is the sender's clock right, and does it still send the offset of its times?",
    "unmapped": "Which codes are new? Map them in the file that the feed names as codes.",
    "code-gone": "Does the laboratory still send this code, or was it renamed?",
    "unit": "Ask the laboratory whether the unit of this code was changed. Until then do not trust its values.",
    "unit-label": "The unit of this code is another one, and its values are read by it. Ask whether that is meant.",
    "shift": "Ask the laboratory about a new lot, calibration or analyser for this test.",
    "stuck": "Is a device sending the same value for everybody?",
    "errors": "Why are messages refused? The dead letters are listed below.",
    "refusals": "Are there too many connections, or notifications that nobody asked for? The log has the reasons.",
    "order": "Does the sender use several connections at the same time?",
    "duplicates": "Does the sender get its acknowledgments, and in time?",
    "identifiers": "Do the patient numbers come from another authority?",
    "sender": "Is this group of devices or application running?",
}
PAUSED_FOR: Final = frozenset(
    {"unit", "shift", "stuck", "clock", "identifiers", "order", "flood", "resend", "duplicates", "errors"}
)
"""Kinds for which it is suggested to take nothing of the feed until the cause is clear; the sender keeps its own."""
REPLAYED_FOR: Final = frozenset({"errors", "unmapped"})
"""Kinds after which dead letters of the feed are taken in again."""
