"""What is at rest: small, unreadable without the key, readable after the key was changed."""

from collections.abc import Iterator

import pytest
from sqlalchemy import LargeBinary, select, type_coerce

from cds_hooks.evidence.audit.verification import audit
from cds_hooks.evidence.storage import content
from cds_hooks.evidence.storage.content import use_content_keys
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.queries import feedback_on, get_decision, read_rows
from cds_hooks.evidence.storage.tables import decisions
from tests.cds_hooks.evidence.storage.samples import a_decision, store

_OLD, _NEW = "11" * 32, "22" * 32


@pytest.fixture(autouse=True)
def _no_keys_afterwards() -> Iterator[None]:
    yield
    use_content_keys("")


def _stored(url: str) -> list[bytes]:
    return [row[0] for row in read_rows(url, select(type_coerce(decisions.c.basis, LargeBinary)))]


def test_content_is_encrypted_by_one_setting_and_keys_are_rotated(url: str) -> None:
    use_content_keys(_OLD)
    first = a_decision()
    store(url, first, answered=True)
    use_content_keys(f"{_NEW}\n{_OLD}\n")
    second = a_decision()
    store(url, second, answered=True)
    assert [get_decision(url, one.id) for one in (first, second)] == [first, second]
    assert feedback_on(url, first.id)[0].user_comment == "Already discussed"
    assert not any(word in stored for stored in _stored(url) for word in (b"features", b"Patient"))

    use_content_keys(_NEW)
    assert get_decision(url, second.id) == second
    with pytest.raises(RecordUnavailable, match="a key that is not among"):
        get_decision(url, first.id)
    use_content_keys("")
    assert audit(url).findings == [], "an auditor verifies without any key"


def test_a_key_of_another_form_is_refused_without_being_repeated() -> None:
    with pytest.raises(content.ContentUnreadable) as raised:
        use_content_keys("secret-key")
    assert "secret-key" not in str(raised.value)
