"""Decisions of the record computed again: the same, or what differs and why; and what another version would have said.

The whole call goes through the stages that answered it (`call/answer.py`), from the facts that its answer read,
which every decision keeps.
"""
