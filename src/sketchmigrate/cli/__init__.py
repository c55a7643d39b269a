"""The command line: arguments, exit codes, text and JSON output."""
