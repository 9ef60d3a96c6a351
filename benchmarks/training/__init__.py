"""How fast training is, and where its time goes; `python -m benchmarks.training [<table> …]`."""
