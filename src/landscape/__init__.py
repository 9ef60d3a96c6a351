"""The loss around a run's weights."""
