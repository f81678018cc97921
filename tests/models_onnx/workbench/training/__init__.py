"""Tests of training: cohort, basis, folds, pipeline, commands."""
