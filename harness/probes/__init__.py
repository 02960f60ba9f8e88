"""One wrapper for each foreign tool that measures a stack."""
