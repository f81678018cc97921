"""Takes a dead letter in again, as it came or as a person mended it."""

from msgspec.structs import replace

from cds_hooks.dialects import DEVELOPMENT
from cds_hooks.events.declaration import Declaration, V2Feed
from cds_hooks.events.inbox import DeadLetter, Inbox
from cds_hooks.events.rescoring import ReadFacts
from cds_hooks.events.v2.intake import read_frame
from cds_hooks.services import services_for
from cds_hooks.settings import Settings


def replay_letter(
    declaration: Declaration, configured: Settings, letter: DeadLetter, content: bytes, now: float
) -> str:
    """Take the letter in and settle it; the reason where it still cannot be read, and "" where it was taken.

    It goes in under an id of its own, since a person decided that it is a message beside the one with the same id.
    """
    feed = declaration.feed.get(letter.source)
    if not isinstance(feed, V2Feed):
        return "Only messages of HL7 v2 feeds can be taken in again."
    rules = tuple(declaration.effect.values())
    names = {service for rule in rules for service in rule.services}
    inbox = Inbox(declaration.file, rules, ReadFacts(services_for(configured), names, DEVELOPMENT.version))
    readings = read_frame(content, feed, now)
    fault = next((reading.incoming.fault for reading in readings if reading.incoming.fault), "")
    if fault:
        return fault
    inbox.take(
        [
            replace(reading.incoming, message_id=f"{reading.incoming.message_id}#replay-{letter.sequence}")
            for reading in readings
        ]
    )
    inbox.settle(letter.sequence, "replayed")
    return ""
