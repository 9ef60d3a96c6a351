"""From files to normalized batches. Only `datamodule` knows Lightning."""
