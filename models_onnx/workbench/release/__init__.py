"""From a draft to a signed release: publishing, the list of models, their pages."""
