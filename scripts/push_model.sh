#!/usr/bin/env bash
# Verifies a model bundle, pushes it to Kaggle as the data set <user>/rsna-model, and verifies what arrived.
#   scripts/push_model.sh models/NAME
set -euo pipefail
export RSNA_EXTRAS=kaggle
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

rsna kaggle push-model "$@"
