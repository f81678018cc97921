"""Pharmacogenetics: what a genetic result means for a drafted drug, by CPIC and, where CPIC is silent, by FDA."""
