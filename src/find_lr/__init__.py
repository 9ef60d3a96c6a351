"""A learning rate range test for any composition."""
