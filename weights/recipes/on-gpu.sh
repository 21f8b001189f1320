#!/usr/bin/env bash
# Trains a packed recipe on one GPU within so many minutes of its time, and writes what it made in pieces under 16 MiB.
#   python weights/recipes/pack_cases.py weights/recipes/gpu.json ../shared/data/train STARTS PACK   # before, anywhere
#   weights/recipes/on-gpu.sh PACK TARGETS.csv OUT [MINUTES] [WHEELS]
# The first 60 steps are measured and decide how many there are. MINUTES (8) is the time of the steps; leave one more for reading
# cases, asking the teacher and export. WHEELS is a folder of wheels for packages that the machine lacks, without a network.
# ACCELERATOR=cpu, WORKERS=0 and FIRST_STEPS=2 try it where there is no GPU. The pieces become a model again with: cat OUT/model.* > model.tar
set -euo pipefail
pack=$1 targets=$2 out=$3 minutes=${4:-8} wheels=${5:-}
accelerator=${ACCELERATOR:-cuda} workers=${WORKERS:-16} first=${FIRST_STEPS:-60}
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$here/../..:${PYTHONPATH:-}"
[ -z "$wheels" ] || $python -m pip install --quiet --no-index --no-deps "$wheels"/*.whl
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$pack/recipe.json" "$work/recipe.json"
train() {
  $python -m lite_medsam train --recipe "$work/recipe.json" --cases "$pack/cases" --start "$pack" --targets "$targets" \
    -o "$work/run" --resume --accelerator "$accelerator" --workers "$workers"
}
$python - "$work/recipe.json" "$first" <<'PY'
import json, sys
path, first = sys.argv[1:]
record = json.load(open(path))
record["train"]["stop_after"] = int(first)
json.dump(record, open(path, "w"), indent=2)
PY
train
$python "$here/fit_steps.py" "$work/recipe.json" "$work/run" "$minutes"
train
$python -m lite_medsam export --checkpoint "$work/run/checkpoint.pt" -o "$work/model" --name lite-medsam
cp "$work/run/log.csv" "$work/recipe.json" "$out/"
tar -C "$work" -cf - model | split -b 15M - "$out/model."
