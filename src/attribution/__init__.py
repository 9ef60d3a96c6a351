"""Where a network looked: pure torch in, torch out."""
