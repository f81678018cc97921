"""What a call passes, from the first byte to its answer: routes, trust, prefetch, advisors, holding back, protocol."""
