"""Reference profile, tests per column, decision."""
