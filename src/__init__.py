"""The bench, to be read in this order: config, data, models, optim, engine, callbacks, reports."""

import os

# albumentations asks the network for a newer release at import time unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
