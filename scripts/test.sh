#!/usr/bin/env bash
# Installs what the tests need and runs them.
#   scripts/test.sh            the fast set: style, types, floors, tests (at most 10 minutes on 2 cores)
#   scripts/test.sh --all      adds the markers slow, loop and fuzz (at most 45 minutes)
#   scripts/test.sh [pytest options]
set -euo pipefail
export RSNA_EXTRAS=dev,gpl,kaggle,gcs,export,external,detect,search,wandb
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

select=(-m "not slow and not loop and not fuzz")
if [ "${1:-}" = --all ]; then
    shift
    select=()
fi

export OMP_NUM_THREADS=1 MPLBACKEND=Agg HF_HUB_OFFLINE=1
ruff check .
ruff format --check .
mypy
lint-imports
pytest -n "${RSNA_TEST_WORKERS:-2}" --dist loadfile --durations 15 "${select[@]}" "$@"
