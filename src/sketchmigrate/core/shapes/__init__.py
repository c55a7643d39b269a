"""Where references stand in a value of each shape, and the value with others in their place. Pure."""
