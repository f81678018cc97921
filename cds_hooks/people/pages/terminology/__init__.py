"""The page /terminology: imported indexes, and the codes and words of this site that are not understood."""
