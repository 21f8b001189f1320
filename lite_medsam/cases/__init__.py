"""The data contract: a Case and its npz file, the registry of data sets, and what makes cases of raw data.

- adapters/: Raw data of a source to cases: one file per source, what they share, checks, splits, writing
- case: The one data contract: a Case is an image or volume with its labels; on disk it is the challenge's npz
- datasets: The registry of data sets: where each comes from, what it holds, under which terms; nothing is downloaded
- fields: What each field of a Case must be: images, label maps, boxes, spacings, names
- npz: Reading npz archives that nobody vouches for: no pickle, no zip bombs, one clear line for whatever is wrong
"""
