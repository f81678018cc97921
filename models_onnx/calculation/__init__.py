"""What published equations have in common: how they are declared, given their inputs, worked out and checked."""
