"""Lands what three airports deliver, learns who comes late, answers, and watches."""
