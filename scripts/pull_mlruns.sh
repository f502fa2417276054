#!/usr/bin/env bash
# Brings the runs of the bucket into mlflow.db here; `mlflow ui` then shows them beside the local ones.
#   scripts/pull_mlruns.sh                  from the bucket of the settings
#   scripts/pull_mlruns.sh --from DIR       from a kernel's downloaded output
set -euo pipefail
export RSNA_EXTRAS=gcs
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

rsna runs pull "$@"
