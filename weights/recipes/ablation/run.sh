#!/bin/sh
# The ablation: what the labels of some data sets and a teacher's answers bring to other data sets. Equally many steps from the
# same start; the sets that `unlabelled` of the recipes names are learned without labels, and every run is scored on them alone.
# Usage: weights/recipes/ablation/run.sh DATA STARTS RUNS   (as for ../make-default.sh)
set -eu
data=$1 starts=$2 runs=$3
here=$(dirname "$0")
python=${PYTHON:-python}
lite="$python -m lite_medsam"
# -i FILE for each validation case of a set without labels
inputs=$($python - "$here/labels.json" "$data" <<'PY'
import csv, json, sys
unlabelled = json.load(open(sys.argv[1]))["unlabelled"]
for row in csv.DictReader(open(f"{sys.argv[2]}/index.csv")):
    if row["split"] == "val" and row["dataset"] in unlabelled:
        print("-i", f"{sys.argv[2]}/{row['file']}")
PY
)

arm() {  # NUMBER NAME
  $lite train --recipe "$here/$2.json" --cases "$data/train" --targets "$data/targets.csv" --start "$starts" -o "$runs/$2" --resume
  [ -f "$runs/$2/model/spec.json" ] || $lite export --checkpoint "$runs/$2/checkpoint.pt" -o "$runs/$2/model"
  # shellcheck disable=SC2086
  $lite evaluate $inputs -q --groups "$data/index.csv" --weights "$runs/$2/model" --report "$here/reports/$1-$2.json"
}

mkdir -p "$here/reports"
arm 1 start
arm 2 labels
arm 3 teacher
