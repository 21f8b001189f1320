#!/bin/sh
# Makes the default model again: three training runs, the mean of the last two, its learning curves and its card.
# Usage: weights/recipes/make-default.sh DATA STARTS RUNS OUT
#   DATA    folder with train/, val/, index.csv and targets.csv (../shared/data)
#   STARTS  folder with lite_medsam.pth; `lite-medsam weights get litemedsam` keeps it in the user's cache under checkpoints
#   RUNS    where the runs and their checkpoints go; what is cut off continues when this is called again
#   OUT     the model directory to write
set -eu
data=$1 starts=$2 runs=$3 out=$4
recipes=$(dirname "$0")
lite="${PYTHON:-python} -m lite_medsam"

train() {  # NAME STARTS
  $lite train --recipe "$recipes/$1.json" --cases "$data/train" --targets "$data/targets.csv" --start "$2" -o "$runs/$1" --resume
}

train 1-labels "$starts"
[ -f "$runs/1-labels/model/spec.json" ] || $lite export --checkpoint "$runs/1-labels/checkpoint.pt" -o "$runs/1-labels/model"
train 2-lessons "$runs/1-labels/model"
train 2-labels "$runs/1-labels/model"
sets=$(tail -n +2 "$recipes/training-data.csv" | cut -d, -f1 | paste -sd, -)
$lite export --checkpoint "$runs/2-lessons/checkpoint.pt" --checkpoint "$runs/2-labels/checkpoint.pt" -o "$out" --name lite-medsam --refine-scale 1.15 --training-data "$sets" \
  --licence "research use only: several training sets are for research only or of unknown terms, see the card" \
  --notes "Default model: boxes, clicks, strokes, names of targets; trained on a CPU; not a medical device."
for run in 1-labels 2-lessons 2-labels; do
  $lite history --run "$runs/$run" -i "$data/val" --targets "$data/targets.csv" --every 8 -o "$recipes/history-$run.csv"
done
$lite card -i "$data/val" --weights "$out" --groups "$data/index.csv" --targets "$data/targets.csv" \
  --training-data "$recipes/training-data.csv" --log "$runs/1-labels/log.csv" --history "$recipes/history-1-labels.csv" \
  --ablation "$recipes/ablation/reports" --calibrate --curves-every 3
