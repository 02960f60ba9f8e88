"""The candidate's `exam` inside the box. Standard library only: it is copied into the box and installed nowhere."""
