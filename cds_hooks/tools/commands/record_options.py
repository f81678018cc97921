"""What every command about the record reads of its options; it imports little, so that these commands start quickly."""

from getpass import getuser

from cds_hooks.evidence.storage.content import use_site_keys
from cds_hooks.settings import settings


def record_url(database: str | None) -> str:
    """Return the address of the record; from now on its content is read with the site's keys."""
    use_site_keys(settings())
    return database or settings().database_url


def note_export(url: str, command: str) -> None:
    """Record who takes data of patients out by this command, before it is given: /decisions/seen lists it.

    Raises:
        RecordUnavailable: there is no record, or it cannot be written.
    """
    from cds_hooks.evidence.storage.entries import EXPORT_EVENT, add_event
    from cds_hooks.evidence.storage.queries import newest_number

    newest_number(url)  # else an empty record would be made at a wrong address
    add_event(url, EXPORT_EVENT, getuser(), {"command": command})
