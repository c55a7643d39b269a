"""The page about a run: one file that needs no network and no script. Pure: a record goes in, HTML comes out."""
