"""The data contract: a Case and its npz file, the registry of data sets, and what makes cases of raw data.

- adapters/: Raw data of a source to cases: one file per source, what they share, checks, splits, writing
- case: The one data contract: a Case is an image or volume with its labels; on disk it is the challenge's npz
- challenge_arrays: What the arrays of a challenge npz mean: picture or volume, spacing in array order
- datasets: The registry of data sets: where each comes from, what it holds, under which terms; nothing is downloaded
- extra_keys: Our own extra keys in a case's npz: texts, names of labels, metadata; what others write is ignored
- fields: What each field of a Case must be: images, label maps, boxes, spacings, names
- groups: Whose image each case is, as a user's table says it
- npz: Reading npz archives that nobody vouches for: no pickle, no zip bombs, one clear line for whatever is wrong
- recognise: Which known data set a folder is, by how its files lie; what is missing, and how to prepare it
"""
