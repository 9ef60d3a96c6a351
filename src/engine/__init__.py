"""The one LightningModule, its metrics and loggers, and the reading of its checkpoints."""
