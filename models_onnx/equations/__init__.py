"""Published equations: how they are declared, given their inputs and calculated."""
