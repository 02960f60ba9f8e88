"""The drills that scenarios share: the same service, registry and kinds of jobs, looked at in the same way."""
