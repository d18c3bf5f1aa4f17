"""Looking at environments: whether one is well, and how all of them are."""
