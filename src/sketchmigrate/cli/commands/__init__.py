"""The commands, each a file named by its word: flags, rights, and what carries it out, imported when it is used."""
