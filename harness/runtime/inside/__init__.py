"""What runs inside a stack's containers. Standard library only, and supervisor where services run."""
