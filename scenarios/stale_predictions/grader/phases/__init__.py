"""The phases of the hidden checks, by what they look at; `checks` puts them in order."""
