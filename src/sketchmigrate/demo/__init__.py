"""A newcomer's first minute: embedded servers, sample avatars, a migration from start to end."""

from sketchmigrate.demo.run import run_demo

__all__ = ["run_demo"]
