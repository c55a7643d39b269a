"""Real servers, and proxies that break the way to them, for the tests."""
