"""The congestion control against servers that exist as arithmetic: a run of a minute takes a second."""
