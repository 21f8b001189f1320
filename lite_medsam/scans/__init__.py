"""Medical files: NIfTI, NRRD, MetaImage, DICOM and OCT to a Scan, and results back onto the voxels of the file.

- dicom: DICOM files and series folders in; identifiers of the patient stay where they are
- dicom_fields: What the tags of a DICOM data set say of its pixels, and nothing of the patient
- dicom_files: DICOM files and folders as data sets: what is DICOM, with and without its preamble
- dicom_order: The order and the places of DICOM slices and frames, and the affine that follows from them
- dicom_pixels: The pixels of a DICOM data set as numbers: unpacked, padding apart, turned and rescaled
- dicom_study: Studies of several DICOM series: a folder with subfolders, a DICOMDIR, a ZIP; which is meant
- metaimage: MetaImage volumes (.mhd, .mha) to a Scan, RETOUCH among them
- geometry: Where a scan's voxels lie: in the patient, in the file, and in the array that is shown
- itk_files: NRRD and MetaImage files in and out through SimpleITK, on the voxels of the file that was read
- limits: How many voxels a scan may have: what the memory of this machine allows
- oct/: OCT files of the clinic and of published sets to a Scan whose scale says where each number comes from
- nifti: NIfTI files in and out; results lie on the voxels of the file that was read
- raw_values: What NIfTI, NRRD and MetaImage share: one of several volumes, numbers that are none, CT by its values
- reading: Medical files in, label maps out: NIfTI, DICOM files and series, npz cases, by one function
- scale: How large a voxel is along each axis, and where that number comes from
- scan: What a medical file holds: raw numbers, voxel size, modality, geometry; and how it becomes an 8-bit picture
"""
