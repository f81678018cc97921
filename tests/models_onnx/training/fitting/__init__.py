"""Tests of models_onnx/training/fitting."""
