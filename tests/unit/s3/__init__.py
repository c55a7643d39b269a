"""Claims about the S3 client: its pure rules, and its behaviour towards a server that replies from a script."""
