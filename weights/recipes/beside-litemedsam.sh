#!/usr/bin/env bash
# The default model beside LiteMedSAM's published weights, on validation cases: makes the record beside the card and the
# tables of docs/models.md. Takes about half an hour of two free cores for all cases; stopped, it goes on where it was.
#   weights/recipes/beside-litemedsam.sh CASES INDEX.csv LEDGER.jsonl [further options of compare, as --every 4]
set -euo pipefail
cases=$1 groups=$2 ledger=$3
shift 3
lite-medsam weights get litemedsam --quiet
lite-medsam weights get litemedsam --image-size 128 --quiet
lite-medsam compare -i "$cases" --groups "$groups" --ledger "$ledger" -o weights/lite-medsam/beside-litemedsam.json "$@"
python -m lite_medsam.challenge.side_by_side_text weights/lite-medsam/beside-litemedsam.json docs/models.md
