"""What commands are made of, below the command line: it asks nobody and prints nothing, and may use a cluster."""
