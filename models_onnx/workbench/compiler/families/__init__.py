"""The families of models that the compiler writes: trees and piecewise functions, each with exact contributions.

PiecewiseLinear   broken lines (logistic and Cox)            piecewise.py
AdditiveCurves    linear pipelines of other libraries        additive_curves.py
AdditiveTrees     EBM: one tree for each term                additive_trees.py
ShapleyTrees      boosted trees and forests to depth 6       shapley_trees.py
IncidenceModel    an event beside a competing one            incidence.py
GroupedModel      any ONNX file, by groups of its inputs     grouped.py
"""
