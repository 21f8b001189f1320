"""A model made better on a folder of cases.

- card: What a fine-tuning run leaves for people: the card of the new model, its scores, and the pictures
- data: The cases of a fine-tuning run: which are there, which are trained on, which are held out, and their hash
- kept_features: The frozen encoder's features on disk: the embedding in half precision, finer ones in 8 bits
- loop: Fine-tuning: the steps on prompted views, their validation, and how a run is continued bit by bit
- prompt_batch: Views with the prompts of simulated users, as batches for fine-tuning
- result: What a fine-tuning run came to
- run: A fine-tuning run from cases and starting weights to a model directory with its card
- settings: What decides a fine-tuning run besides data and starting weights; readable without torch
- views: Where fine-tuning takes its views from: drawn anew each time, or once with their features kept
"""
