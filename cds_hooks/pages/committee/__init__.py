"""What the pages of models and rules show to a committee: standing, signatures, changes between versions."""
