"""Claims about shapes: what is found in a value, and that nothing else of it changes."""
