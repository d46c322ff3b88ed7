"""Executors: who trains what the conductor hands out. Both keep the same contract, and one test holds them to it."""
