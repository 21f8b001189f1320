"""A model's card: what is measured on validation cases, and the page and pictures made from it.

- ablation: What each part of the training brings: short runs that differ in one thing, as a table of scores
- front: The first page of a card, for a screen and a phone: what it is for, how good it is, what it cannot do
- halves: Score calibration for the card: fitted on one half of the groups, its error told on the other half
- honesty: How honest a model's score is: calibration on groups that it was not fitted on, and scores in words
- markdown: Tables and numbers of a card as Markdown
- measure: One pass over the validation cases: every run of the card, each image loaded once, each view encoded once
- page: The card as two Markdown pages, from the record of the measurements
- pictures: The pictures that may lie beside a card, and what is written under them
- plots: Plots of a card: Dice over moved boxes and clicks, and how honest the scores are; needs matplotlib
- prompting: Tables of how the answer depends on the prompt: moved boxes, clicks, clicks until it is good enough
- quality: Tables of how good a model is: by modality, target, size, data set, with and without a name
- raw_scores: A backend that gives the network's own scores, whatever the spec makes of them
- record: Finding lines in the record of a card's measurements
- refining: What a second look at the borders of large objects brings: the same boxes with and without it
- sheets: Sheets of phantoms for a card: the bundled ones as examples, and those that a model gets most wrong
- summary: From rows to the numbers that the card tells: tables and curves, and nothing that is not read
- sweeps: How the answer depends on the prompt: boxes that are moved, and clicks until it is good enough
- weaknesses: What the numbers say against a model, in plain words
"""

from lite_medsam.card.measure import CardSettings, Measured, measure
from lite_medsam.card.page import write_card
from lite_medsam.card.summary import summarise_card

__all__ = ["CardSettings", "Measured", "measure", "summarise_card", "write_card"]
