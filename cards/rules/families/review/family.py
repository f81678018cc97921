"""Criteria of STOPP version 3 about what is taken already: they are asked at a medication review, not at an order."""

from cards.rules.engine.family import Family

FAMILY = Family("review", for_review=True)
