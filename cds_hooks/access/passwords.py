"""Passwords: what one must be, and its Argon2id hash (RFC 9106, second recommended parameters, those of argon2-cffi).

The length follows NIST SP 800-63B-4 (2025), section 3.1.1.2: a password that is the only factor has at least 15
characters, and no rule says of which kind they are. By the same section a common password is refused: those that Django
refuses (19,640 of leaked lists; Django 5.2, common-passwords.txt.gz, BSD license), alone, repeated, two together, and
with digits and signs between.
"""

import gzip
import re
from functools import cache
from importlib.resources import files
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST: Final = 15
LONGEST: Final = 200
_NAME_THAT_COUNTS: Final = 4

_AT_ONCE: Final = BoundedSemaphore(2)
"""A hash takes 64 MiB and a core for 50 ms: a flood of logins waits here and not in front of the hook calls."""


def password_fault(password: str, name: str) -> str | None:
    """Return what is wrong with a new password, in a sentence; None for one that can be used."""
    if len(password) < SHORTEST:
        return f"The password has {len(password)} characters; it needs at least {SHORTEST}. Several words are good."
    if len(password) > LONGEST:
        return f"The password has {len(password)} characters; at most {LONGEST} are read."
    if len(set(password)) < 5 or (len(name) >= _NAME_THAT_COUNTS and name.casefold() in password.casefold()):
        return "The password repeats a few characters or contains the name of the account; choose another one."
    if _is_common(password.casefold()) or _is_common(_NO_LETTERS.sub("", password.casefold())):
        return (
            "The password is made of one or two that are used most often; choose another one. Several words are good."
        )
    return None


_NO_LETTERS: Final = re.compile(r"[\W\d_]")


def _is_common(text: str) -> bool:
    """Return whether the text is a common password, such a one repeated, or two of them."""
    for end in range(1, len(text) + 1):
        beginning, rest = text[:end], text[end:]
        if beginning in _common() and (rest in _common() or not rest.replace(beginning, "")):
            return True
    return False


@cache
def _common() -> frozenset[str]:
    packed = files("cds_hooks.access").joinpath("common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().split())


def hash_password(password: str) -> str:
    """Return the Argon2id hash with its parameters and salt, as text."""
    with _AT_ONCE:
        return _hasher().hash(password)


def verifies(password: str, password_hash: str | None) -> bool:
    """Return whether the password has this hash; with None it takes as long and is False."""
    from argon2.exceptions import InvalidHashError, VerificationError

    with _AT_ONCE:
        try:
            _hasher().verify(password_hash or _of_nobody(), password[: LONGEST + 1])
        except (VerificationError, InvalidHashError):
            return False
    return password_hash is not None


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher  # imported here: only a login needs it

    return PasswordHasher()


@cache
def _of_nobody() -> str:
    """Return a hash to compare with where there is no account: the answer takes as long as for a wrong password."""
    return _hasher().hash("of nobody, compared for its time")
