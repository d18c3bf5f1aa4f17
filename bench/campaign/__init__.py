"""The fault campaign: operations on a rehearsed environment under load, each struck by something, by a seed."""
