#!/usr/bin/env bash
# The whole Kaggle loop on this machine, on a synthetic competition: code pushed, wheels, prepared, trained, runs on a
# bucket and back, bundle, offline submission, score, LOG.md. On a Kaggle and a bucket of its own, all in ./demo.
# Run again, it leaves out what is done and has not changed.
#   scripts/demo.sh [--dirty]    pushes the last commit; --dirty: the files as they are now
#   scripts/demo.sh --modelling  the same competition without any Kaggle: prepare, train, collect, predict, score
set -euo pipefail
mode=${1:-}
case $mode in
    "" | --dirty) export RSNA_EXTRAS=kaggle,gcs ;;
    --modelling) ;;
    *) echo "usage: scripts/demo.sh [--dirty | --modelling]" >&2; exit 2 ;;
esac
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"

step() { printf '\n== %s\n' "$*"; "$@"; }

step rsna synth breast --out demo/competition --patients 280 --hidden-patients 120 --scale 0.1 \
    --positive-rate 0.35 --difficulty easy --seed 1

if [ "$mode" != --modelling ]; then
    (cd demo && rsna init --user demo --competition rsna-breast --bucket rsna-demo </dev/null)
    step rsna rehearse all --data demo/competition --folder demo --settings demo/.rsna/settings.yaml --unsafe \
        --prepare data=breast_256 --folds 2 --train experiment=breast/demo --train fold=all "$@"
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
