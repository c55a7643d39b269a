"""The same job on several processes or machines: key ranges, handed out to workers by an engine that exists."""
