"""The main job: preflight, then pages of references through iterations that copy, record and flip."""
