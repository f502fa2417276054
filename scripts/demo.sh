#!/usr/bin/env bash
# The whole job on this machine: a synthetic competition, prepared, trained on two folds, bundled, predicted and scored.
# Run again, it resumes and reuses what is there. Everything lies in ./demo but the runs that `mlflow ui` shows.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

step() { printf '\n== %s\n' "$*"; "$@"; }

places=(env.data=demo/competition env.prepared=demo/prepared env.runs=demo/runs)

step rsna synth breast --out demo/competition --patients 160 --hidden-patients 100 --scale 0.15 --positive-rate 0.3 --seed 1
step rsna prepare data=breast_256 "${places[@]}"
step rsna folds --prepared demo/prepared --competition breast --folds 2
step rsna train experiment=breast/demo fold=all "${places[@]}"
step rsna collect demo/runs/demo --data demo/competition --out demo/models/demo
step rsna predict --bundle demo/models/demo --data demo/competition/hidden --out demo/submission.csv
step rsna score --submission demo/submission.csv --solution demo/competition/hidden/solution.csv --competition breast

cat <<EOT

submission: $PWD/demo/submission.csv
see the runs: .venv/bin/mlflow ui  (then open http://127.0.0.1:5000/#/experiments?workflowType=machine_learning)
EOT
