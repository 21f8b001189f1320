"""How good it is: labelled cases, simulated users, baselines, scores.

- baselines: What a box alone is worth: masks made without any learning, the floor that a model must clear
- candidate_study: How well objects of a kind are found, from one example and from none: found and false shares
- columns: Further columns of a row of scores: every measure of a mask, and the scores after each click
- evaluate: How good is it: a segmenter prompted over labelled cases as a protocol says, or finished segmentations
- int8: An int8 version of a model: calibrated, compared with the full one, and written with what it gains and loses
- line_study: Which prompt stands best for a line across a lesion: mean Dice of objects by rule
- metrics/: Scores of a predicted mask against the true one: overlap, distance, lesions, layers, clicks, agreement
- object_scores: The scores of one object: its mask against the true one, in pixels and millimetres
- predictions: Finished segmentations beside their cases: which file belongs to which, and whether numbers meet
- report: The scores of a run: its rows, their averages as text, CSV, Markdown or JSON, and what was left out
- score_tables: Tables of scores as files and text: CSV, aligned or Markdown, JSON
- scores: Rows of scores, and how they are averaged, decided once
- specialist: A trained specialist (U-Net, ReLayNet-style) as a segmenter, and the box as one more channel
- volume_study: How well volumes are followed from one box: mean 3D Dice per object, by modality and way of asking
"""
