"""Orders of imaging and laboratory tests: contrast and kidneys, pregnancy, back pain, repeats, screening."""
