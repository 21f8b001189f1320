"""A model's card: what is measured on validation cases, and the page and pictures made from it."""

from lite_medsam.card.measure import CardSettings, Measured, measure
from lite_medsam.card.page import write_card
from lite_medsam.card.summary import summarise_card

__all__ = ["CardSettings", "Measured", "measure", "summarise_card", "write_card"]
