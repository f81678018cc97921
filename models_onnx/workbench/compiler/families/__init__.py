"""The families of models that the compiler writes: curves and trees, each with exact contributions.

AdditiveCurves    regressions, broken lines, Cox, EBM        additive_curves.py
ShapleyTrees      boosted trees and forests to depth 6       shapley_trees.py
GroupedModel      any ONNX file, by groups of its inputs     grouped.py
"""
