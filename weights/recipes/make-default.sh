#!/bin/sh
# Makes the default model again: three training runs, the model directory, its learning curve and its card.
# Usage: weights/recipes/make-default.sh DATA STARTS RUNS OUT
#   DATA    folder with train/, val/, index.csv and targets.csv (../shared/data)
#   STARTS  folder with the ImageNet weights (../shared/weights)
#   RUNS    where the runs and their checkpoints go; what is cut off continues when this is called again
#   OUT     the model directory to write
set -eu
data=$1 starts=$2 runs=$3 out=$4
recipes=$(dirname "$0")
lite="${PYTHON:-python} -m lite_medsam"

stage() {  # NUMBER NAME STARTS: continues what was cut, then writes the model directory
  $lite train --recipe "$recipes/$1-$2.json" --cases "$data/train" --targets "$data/targets.csv" --start "$3" \
    -o "$runs/$1" --resume
  [ -f "$runs/$1/model/spec.json" ] || $lite export --checkpoint "$runs/$1/checkpoint.pt" -o "$runs/$1/model"
}

stage 1 boxes-and-clicks "$starts"
stage 2 scenes-and-names "$runs/1/model"
stage 3 names "$runs/2/model"
sets=$(tail -n +2 "$recipes/training-data.csv" | cut -d, -f1 | paste -sd, -)
$lite export --checkpoint "$runs/3/checkpoint.pt" -o "$out" --name lite-medsam --training-data "$sets" \
  --licence "research use only: several training sets are for research only or of unknown terms, see the card" \
  --notes "Default model: boxes, clicks, strokes, names of targets; trained on a CPU; not a medical device."
$lite history --run "$runs/3" -i "$data/val" --targets "$data/targets.csv" --every 4 -o "$recipes/history.csv"
$lite history --run "$runs/3" -i "$data/val/Fundus" --targets "$data/targets.csv" -o "$recipes/history-fundus.csv"
$lite card -i "$data/val" --weights "$out" --groups "$data/index.csv" --targets "$data/targets.csv" \
  --training-data "$recipes/training-data.csv" --log "$runs/3/log.csv" --history "$recipes/history.csv" \
  --history "$recipes/history-fundus.csv" \
  --ablation "$recipes/ablation/reports" --calibrate --curves-every 3
