"""What holds for every service, dialect, feature, equation and page: each is a function that a test file names."""
