"""The families of models that the compiler writes: curves and trees, each with exact contributions.

AdditiveCurves    regressions, broken lines, Cox, EBM        additive_curves.py
ShapleyTrees      boosted trees and forests to depth 6       shapley_trees.py
IncidenceModel    an event beside a competing one            incidence.py
GroupedModel      any ONNX file, by groups of its inputs     grouped.py
"""
