"""A small student learns to answer as a large teacher does.

- feature_loss: How far a student's features are from its teacher's
- loop: Distillation: a small student learns to answer as a large teacher does
- run: A whole distillation: from a folder of cases, a teacher and a description of the student to a model directory
- settings: What decides a distillation besides the teacher, the student and the images; readable without torch
"""
