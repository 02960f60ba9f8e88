"""The grader of broken_pipeline: it never reaches a candidate."""
