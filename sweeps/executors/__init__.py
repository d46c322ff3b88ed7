"""Executors: who trains what the conductor hands out. Both keep one contract, and a test holds them to it."""

EXECUTORS = ("ray", "inline")
"""Their names on the command line."""
