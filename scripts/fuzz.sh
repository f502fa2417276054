#!/usr/bin/env bash
# Fuzzes the readers of hostile input, round after round with a new seed, until the time is over or one fails.
#   scripts/fuzz.sh [SECONDS [pytest options]]     600 seconds by default; FUZZ_SEED=N repeats the round of that seed
set -euo pipefail
export RSNA_EXTRAS=dev,gpl,kaggle,gcs
. "$(dirname "${BASH_SOURCE[0]}")/_venv.sh"
export OMP_NUM_THREADS=1 MPLBACKEND=Agg HF_HUB_OFFLINE=1

end=$((SECONDS + ${1:-600}))
shift $(($# > 0))
while ((SECONDS < end)); do
    seed=${FUZZ_SEED:-$((RANDOM * 32768 + RANDOM))}
    echo "seed $seed: repeat this round with FUZZ_SEED=$seed scripts/fuzz.sh"
    status=0
    mapfile -t files < <(shuf -e tests/fuzz/test_*.py) # so that a short time is not always spent on the same
    timeout --signal=INT --kill-after=60 $((end - SECONDS)) \
        pytest -q -x --hypothesis-profile=fuzz --hypothesis-seed="$seed" "${files[@]}" "$@" || status=$?
    ((status == 0 || status == 124)) || exit "$status" # 124: the time was over
done
echo "no failure"
