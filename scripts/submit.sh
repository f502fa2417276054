#!/usr/bin/env bash
# Runs the submit kernel with a model bundle, submits that run, waits for the score, and writes it to MLflow and LOG.md.
#   scripts/submit.sh --bundle models/NAME -m "what is new"
#   scripts/submit.sh                       the local bundle that is on Kaggle
#   scripts/submit.sh --ref NUMBER          wait again for the score of a submission that was made earlier
set -euo pipefail
export RSNA_EXTRAS=kaggle
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

rsna submit "$@"
