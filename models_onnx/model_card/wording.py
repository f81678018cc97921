"""What no text of a model may say: a directive, a claimed effect, an alarm (responsible-ai.md 2 and 4.3).

A service that a site declares as data is asked when it is read.
"""

import re
from collections.abc import Iterator

# A directive takes the decision from the clinician: criterion 3 of the FDA's guidance, responsible-ai.md 2.
_DIRECTIVE = re.compile(
    r"(?:^|[.!?:;)]\s+|\n\s*[-*]\s*)(?:please )?(?:give|start|stop|do(?! not)|administer|discontinue|prescribe|order|"
    r"admit|discharge|refer|increase|decrease|withhold|deny|taper|begin|initiate|avoid|continue|reduce|restart|resume|"
    r"titrate|cancel|replace|make sure|ensure)\b"
    # words that name a thing, too: a call by the nurse, a transfer of care
    r"|(?:^|[.!?:;)]\s+|\n\s*[-*]\s*)(?:please )?(?:hold|switch|call|page|send|transfer|double|halve)\b"
    r"(?= \w)(?! (?:by|of|for|from|with|in|on|at)\b)"
    r"|\b(?:you|patients?) (?:must|shall|have to|needs? to)\b"
    r"|\b(?:must|should|ought to|has to|have to|needs? to|is to|are to) (?:\w+ly )?be (?:given|started|stopped|held|"
    r"withheld|withdrawn|admitted|denied|discharged|referred|switched|increased|reduced|discontinued|prescribed|ordered|"
    r"transferred|treated|initiated|called|seen|avoided)\b"
    r"|\b(?:we|i|the model|the score|the system) (?:strongly )?(?:advises?|recommends?|urges?|requires?|wants?)\b"
    r"|\b(?:is|are) (?:strongly (?:recommended|advised)|mandatory|obligatory)\b"
    r"|\bit is (?:time|necessary|advisable|best) to\b",
    re.IGNORECASE,
)
_CAUSAL = re.compile(
    r"\b(?:will (?:reduce|prevent|lower|cut)|reduces the risk|lowers the risk by|prevents|because of (?:this|these) "
    r"factors?|is caused by)\b",
    re.IGNORECASE,
)
_ALARM = re.compile(r"\b(?:urgent(?:ly)?|immediately|at once|emergency(?! |\.)|alarm|critical(?:ly)?)\b", re.IGNORECASE)
NOT_FOR_EMERGENCIES = re.compile(r"\bnot for emergenc", re.IGNORECASE)


def unsafe_words(text: str) -> Iterator[str]:
    """Yield what one text says that no text of a model may say: a directive, a claimed effect, an alarm."""
    if match := _DIRECTIVE.search(text):
        directive = match.group().strip(" \n\t.!?:;)-*")
        yield f"it directs instead of offering: '{directive}'"
    if match := _CAUSAL.search(text):
        yield f"it claims an effect: '{match.group()}'"
    if match := _ALARM.search(NOT_FOR_EMERGENCIES.sub("", text)):
        yield f"it sounds an alarm: '{match.group()}'"
