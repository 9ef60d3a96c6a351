"""Networks and their layers: tensors in, tensors out."""
