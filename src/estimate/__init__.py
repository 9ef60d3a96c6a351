"""What a run will take, before anyone waits for it."""
