"""Composes cards: of drafted orders, of a risk model, of a published equation."""
