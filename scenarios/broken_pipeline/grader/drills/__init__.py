"""The drills of broken_pipeline: pure judgements over bytes and frames, and the steps that make something happen."""
