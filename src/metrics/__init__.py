"""Quantities that are computed, for whoever draws or logs them."""
