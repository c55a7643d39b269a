"""Where the CPU time of a run goes, stage by stage: ``scripts/bench --profile``."""
