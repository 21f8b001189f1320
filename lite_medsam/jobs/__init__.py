"""Files in, files out: what `lite-medsam segment` does.

- batch: Files in, files out: what `lite-medsam segment` does with one input, and with many
- coordinates: Boxes, points and slices of records of medical files, in voxels of the file and as displayed
- failures: What went wrong with one input: whether the others can go on, and how it is told
- finished: How finished work is recognised: what decides a result, and whose results lie there already
- inputs: The input of one job: what its file holds, which objects were asked for, a picture or a volume
- leftovers: Temporary files of workers that were killed while they wrote: found by their names and removed
- listing: Which files to segment, with which prompts, and where their results go
- manifest: Manifests: tables of inputs with their prompts and the names of their results, as CSV or Parquet
- mask_table: The masks of many inputs as one Parquet table of run lengths
- naming: Where the results of each input go: no two inputs write the same file, and a second run finds the first's
- outputs: The results of one segmented input as files, all of them or none
- parts: One part of the work: a machine of many takes every n-th input and needs to know of no other
- prepare_dicom: The adapter `dicom` of `lite-medsam prepare`: series with DICOM segmentations, nobody named
- prepare_nifti: The adapter `nifti` of `lite-medsam prepare`: NIfTI, NRRD and MetaImage volumes with label maps
- prepare_volumes: What the adapters `nifti` and `dicom` of `lite-medsam prepare` share: a scan and its labels to a case
- prompt_cells: Prompts as a cell of a manifest says them: a box, boxes, or the JSON of a prompt file
- ray_batches: The same jobs on a Ray cluster: actors that open the model once, blocks of jobs, retries after a death
- references: Results on the voxels of a medical file: labels in its format, DICOM segmentations that refer to it
- remote: Inputs that lie in object stores and on servers: listed and fetched by fsspec, one file at a time
- series_listing: DICOM series as inputs: which folders are volumes, and which series of a study is meant
- volume_record: What the record of a volume says of its objects
- volumes: What `lite-medsam segment` does with one volume: prompts in, a label map, a picture and a record out
"""
