"""A model's card: what is measured on validation cases, and the page and pictures made from it."""

from lite_medsam.card.measure import CardSettings, measure
from lite_medsam.card.page import write_card
from lite_medsam.card.reuse import RawBackend

__all__ = ["CardSettings", "RawBackend", "measure", "write_card"]
