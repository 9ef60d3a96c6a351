"""The bench. Read it in this order: signals, files, config, data, models, optim, attribution, metrics,
drawing, runs, engine, callbacks, train. Then the tools, each a folder or a file (tests/test_layout.py).
"""

import os

# albumentations asks the network for a newer release at import time unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
