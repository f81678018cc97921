"""What the commands that read the record share: where it is, with which keys it is read, and whom it names how."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cards.rules.engine.governance import SiteRules
from cds_hooks.approvals import ApprovalBook
from cds_hooks.governance import read_rules_file
from cds_hooks.settings import settings
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.site_keys import use_site_keys
from cds_hooks.storage.user_hash import UserNames, read_user_keys


def record_url(database: str | None) -> str:
    """The address of the record; from now on its content is read with the site's keys."""
    use_site_keys(settings())
    return database or settings().database_url


def site_approvals(database: str | None = None, people: Path | None = None) -> ApprovalBook:
    """What people of the site have signed, as the record has it; nothing where there is no record yet.

    Raises:
        PeopleFileError: The file of people cannot be used.
    """
    book = ApprovalBook(database or settings().database_url, people or settings().people_file)
    with suppress(RecordUnavailable):
        book.read()
    return book


def site_rules(file: Path | None) -> SiteRules:
    """What the site says of the rules: with two keys where it has a trust file or names its people, else as typed.

    Raises:
        RulesFileError, PeopleFileError: A file cannot be used.
    """
    path = file or settings().rules_file
    said = read_rules_file(path) if path is not None else SiteRules()
    signed = settings().trust_file is not None or settings().people_file is not None
    return site_approvals().in_force(said) if signed else said


def possible_users(client: str, user: str) -> list[str]:
    """Under what a decision shown to this user can be recorded."""
    keys: tuple[bytes, ...] = ()
    with suppress(RecordUnavailable):  # without keys the record can still name the user in the clear
        keys = read_user_keys(settings().user_keys)
    return UserNames("hashed", keys).possible(client, user)


def microseconds(time: datetime | None) -> int | None:
    """Microseconds since 1970 of a time that is UTC where it names no zone."""
    if time is None:
        return None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1_000_000)
