#!/usr/bin/env bash
# Pushes the committed code to Kaggle as the data set <user>/rsna-code, and renders kaggle_kernels/*/kernel-metadata.json.
#   scripts/push_code.sh            the last commit
#   scripts/push_code.sh --dirty    the working tree, marked, with its difference
set -euo pipefail
export RSNA_EXTRAS=kaggle
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

rsna kaggle push-code "$@"
