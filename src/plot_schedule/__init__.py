"""Learning rate and momentum of a composition, without training."""
