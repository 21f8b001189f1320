"""`lite-medsam bench`: this model and the published LiteMedSAM architecture measured side by side on this machine."""
