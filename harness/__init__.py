"""A practical exam in production readiness for machine-learning engineers."""
