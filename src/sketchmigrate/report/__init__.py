"""What a person sees: terminal, log file, progress, tables."""
