#!/bin/sh
# The ablation: short runs with equally many steps, each scored on every second validation case.
# Usage: weights/recipes/ablation/run.sh DATA STARTS RUNS   (as for ../make-default.sh)
set -eu
data=$1 starts=$2 runs=$3
here=$(dirname "$0")
lite="${PYTHON:-python} -m lite_medsam"

arm() {  # NUMBER NAME RECIPE STARTS
  $lite train --recipe "$here/$3.json" --cases "$data/train" --start "$4" -o "$runs/$2" --resume
  [ -f "$runs/$2/model/spec.json" ] || $lite export --checkpoint "$runs/$2/checkpoint.pt" -o "$runs/$2/model"
  $lite evaluate -i "$data/val" --every 2 -q --groups "$data/index.csv" --weights "$runs/$2/model" --report "$here/reports/$1-$2.json"
}

mkdir -p "$here/reports"
arm 1 random random "$starts"
arm 2 ImageNet imagenet "$starts"
arm 3 scenes scenes "$starts"
arm 5 teacher teacher "$starts"
$lite distill --teacher "$runs/teacher/model" --student "$here/imagenet.json" --start "$starts" --cases "$data/train" \
  -o "$runs/distillation" --resume --steps 150 --warmup-steps 20 --ema-decay 0.98 --seed 5 --bfloat16 \
  --views-per-image 2 --click-share 0
arm 4 distillation after-distillation "$runs/distillation/model"
