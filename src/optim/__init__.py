"""What moves the weights, beside torch's own optimizers and schedules."""
