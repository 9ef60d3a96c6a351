"""Runs beside each other: which variant is better, how sure that is, and a report."""
