"""Faults of real processes and files, drawn from a seed: `python -m tests.chaos [seed]` tries them all."""
