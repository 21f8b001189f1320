"""What a teacher answers about views of images, asked once and kept, for every training that wants to know it.

- book: What the teacher answers about each view, computed once and kept on disk
- drawn: Which lessons of a book a training run reads at which step
- settings: Which views of the images the teacher is asked about, and with which prompts; readable without torch
- teachers: Who teaches: any model directory, or a published checkpoint of MedSAM, SAM, MobileSAM or LiteMedSAM
- views: What teacher and student look at: the same windows of the same images, with the same prompts
"""
