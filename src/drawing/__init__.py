"""Pictures of what a network does: arrays in, Pillow images and matplotlib figures out."""
