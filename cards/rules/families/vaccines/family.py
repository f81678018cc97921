"""Vaccines: rules about a drafted live vaccine, with the words that every family may use."""

from cards.rules.engine.family import Family

FAMILY = Family("vaccines")
