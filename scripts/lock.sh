#!/bin/sh
# Resolve requirements*.in into one hashed lock file for Python 3.11 to 3.13 on Linux and macOS.
# torch, and the CUDA packages that only its default Linux build requires, are in requirements-torch.txt.
set -eu
cd "$(dirname "$0")/.."
apart="torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc
  nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse
  nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx"
set --
for package in $apart; do set -- "$@" --no-emit-package "$package"; done
exec .venv/bin/uv pip compile --universal --python-version 3.11 --no-header --generate-hashes \
  --no-emit-index-url --quiet "$@" -o requirements.lock requirements-dev.in
