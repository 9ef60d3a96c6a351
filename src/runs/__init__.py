"""Reading and writing a run's files; never live objects."""
