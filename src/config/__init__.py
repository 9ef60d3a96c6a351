"""Composing, checking and explaining configurations; nothing here imports torch."""
