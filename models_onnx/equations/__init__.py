"""Published equations: how they are declared, given their inputs, calculated, compiled and checked."""
