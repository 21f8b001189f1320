#!/bin/sh
# Makes docs/oct-specialists.json, its picture and its table on docs/oct.md: specialists and the fine-tuned model on the same
# OCT images.
# Usage: weights/recipes/specialists-oct.sh DATA RUNS
#   DATA    folder with train/, val/ and index.csv (../shared/data)
#   RUNS    where the runs go; what is cut off continues when this is called again
set -eu
data=$1 runs=$2
recipes=$(dirname "$0")
python="${PYTHON:-python}"

$python "$recipes/specialists-oct.py" "$data" "$runs"
$python -m lite_medsam baseline --cases "$runs/cases" --split "$runs/split.json" -o "$runs/curve" \
  --curve 100,20,5,50,10 --longer 3 --steps 80 --image-size 160 --precision bf16 --validations 2 --validation-cases 12
$python "$recipes/specialists-oct.py" --page "$runs/curve"
