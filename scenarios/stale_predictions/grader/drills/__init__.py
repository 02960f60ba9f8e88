"""The drills, by what they look at. Each sets its own preconditions; `checks.grade` says in which order they run."""
