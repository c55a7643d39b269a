"""A newcomer's first minute: embedded servers, sample avatars, a migration from start to end."""
