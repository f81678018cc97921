"""Decision support of St. Mary's."""
