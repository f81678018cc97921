"""What the pages of models and rules show to a committee: standing, approvals, changes between versions."""
