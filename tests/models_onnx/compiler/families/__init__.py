"""Tests of models_onnx/compiler/families."""
