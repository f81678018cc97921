"""The rule engine: compiles rules, evaluates a drafted medication, renders findings, applies a site's governance."""
