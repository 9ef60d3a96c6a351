#!/usr/bin/env bash
# What one CUDA card does with this bench: `DATA_ROOT=<folder of CIFAR-10> bash benchmarks/gpu.sh`.
# BUDGET_S (540) seconds in all, OUT (outputs/gpu) gets result.json and table.md, PYTHON (python) runs it.
# WHEELS=<folder>: install what the machine lacks from there, without a network.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -n "${WHEELS:-}" ]; then
  "${PYTHON:-python}" -m pip install --quiet --no-index --no-deps --find-links "$WHEELS" \
    hydra-core omegaconf antlr4-python3-runtime captum
fi
exec "${PYTHON:-python}" -m benchmarks.gpu
