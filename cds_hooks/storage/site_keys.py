"""The site's keys for the content of the record, as the settings name them."""

from cds_hooks.settings import Settings
from cds_hooks.storage.content import ContentUnreadable, key_text, read_content_keys, use_content_keys
from cds_hooks.storage.decision import RecordUnavailable


def use_site_keys(configured: Settings) -> None:
    """From now on this process encrypts and decrypts with the site's keys; RecordUnavailable where they are no keys."""
    key = configured.content_key.get_secret_value() if configured.content_key is not None else None
    try:
        use_content_keys(read_content_keys(key_text(key, configured.content_keys)))
    except ContentUnreadable as error:
        raise RecordUnavailable(str(error)) from error
