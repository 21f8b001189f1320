"""A small student learns to answer as a large teacher does.

- feature_loss: How far a student's features are from its teacher's
- lessons: What the teacher answers about each view, computed once and kept on disk
- loop: Distillation: a small student learns to answer as a large teacher does
- run: A whole distillation: from a folder of cases, a teacher and a description of the student to a model directory
- settings: What decides a distillation besides the teacher, the student and the images; readable without torch
- teachers: Who teaches: any model directory, or a published checkpoint of MedSAM, SAM, MobileSAM or LiteMedSAM
- views: What teacher and student look at: the same windows of the same images, with the same prompts
"""
