"""What is measured, each in a module of its own that returns frozen figures."""
