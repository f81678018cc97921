"""Hashes of passwords that take no time: those of the product take 0.1 s of a processor and 64 MB each."""

from functools import cache

import pytest
from argon2 import PasswordHasher

from cds_hooks.people.access import accounts

REAL_HASHER = accounts.password_hasher


def hash_quickly() -> None:
    """Gives all tests of this process other parameters; whoever tests those of the product puts REAL_HASHER back."""
    quick = cache(lambda: PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    pytest.MonkeyPatch().setattr(accounts, "password_hasher", quick)
