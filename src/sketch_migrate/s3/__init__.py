"""The project's own S3 client: pure protocol rules, a transport of few microseconds, and the operations on top."""
