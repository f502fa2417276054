#!/usr/bin/env bash
# The whole job on this machine: a synthetic competition, prepared, trained on two folds, bundled, predicted and scored.
# Run again, it resumes and reuses what is there. Everything lies in ./demo but the runs that `mlflow ui` shows.
#   scripts/demo.sh                   modelling, without any Kaggle
#   scripts/demo.sh --loop [--dirty]  every Kaggle step instead, on the local Kaggle and an emulated bucket: code
#                                     pushed, wheels, prepared, trained, pulled, submitted offline, scored, logged
#                                     (--dirty pushes the working tree instead of the last commit)
set -euo pipefail
loop=${1:-}
[ "$loop" = --loop ] && export RSNA_EXTRAS=kaggle,gcs
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

step() { printf '\n== %s\n' "$*"; "$@"; }

step rsna synth breast --out demo/competition --patients 280 --hidden-patients 120 --scale 0.1 \
    --positive-rate 0.35 --difficulty easy --seed 1

if [ "$loop" = --loop ]; then
    (cd demo && rsna init --user demo --competition rsna-breast --bucket rsna-demo </dev/null)
    step rsna rehearse all --data demo/competition --folder demo --settings demo/.rsna/settings.yaml --unsafe \
        --prepare data=breast_256 --folds 2 --train experiment=breast/demo --train fold=all "${@:2}"
    exit
fi

places=(env.data=demo/competition env.prepared=demo/prepared env.runs=demo/runs)

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
