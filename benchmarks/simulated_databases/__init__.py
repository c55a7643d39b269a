"""The governor against databases that exist as arithmetic: a run of ten minutes takes a tenth of a second."""
