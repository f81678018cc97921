"""Tests of the figures against scikit-learn and scipy."""
