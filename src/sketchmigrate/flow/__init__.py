"""How fast: token bucket, window, congestion control, and the limiter that puts them together. Pure."""
