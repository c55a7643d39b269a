"""What a store really does: found out by trying, below a folder of a random name."""
