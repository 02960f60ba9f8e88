"""Renders a run record. Rendering never measures."""
