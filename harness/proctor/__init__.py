"""Leads one attempt over HTTP: brief, clock, public checks, rehearsal, submission.

It runs nothing of the candidate's: services are asked over HTTP, files are read as bytes, no link is followed. The
seed, the variant and what is hidden never leave it.
"""
