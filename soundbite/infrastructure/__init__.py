"""The infrastructure: a cloud assembly an environment, and the stacks it becomes."""
