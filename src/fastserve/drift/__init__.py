"""Is what is served still like what was learned? Profiles, windows, scores, alarms, contracts."""
