"""Who may decide what shows cards: acts, approvals, releases, where each stands, the terminology in force."""
