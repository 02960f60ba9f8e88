"""How a stack is brought up: one protocol, one module for each way to run it."""
