"""What a change goes through before it counts."""
