"""The one LightningModule, and a run from start to finish."""
