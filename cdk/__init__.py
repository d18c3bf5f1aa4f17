"""The infrastructure: one cloud assembly an environment."""
