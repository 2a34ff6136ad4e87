"""What the store keeps, and how it is sealed."""
