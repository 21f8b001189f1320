"""Medical files: NIfTI and DICOM to a Scan, with the geometry that brings results back onto the voxels of the file.

- dicom: DICOM files and series folders in; identifiers of the patient stay where they are
- dicom_fields: What the tags of a DICOM data set say of its pixels, and nothing of the patient
- geometry: Where a scan's voxels lie: in the patient, in the file, and in the array that is shown
- nifti: NIfTI files in and out; results lie on the voxels of the file that was read
- reading: Medical files in, label maps out: NIfTI, DICOM files and series, npz cases, by one function
- scan: What a medical file holds: raw numbers, voxel size, modality, geometry; and how it becomes an 8-bit picture
"""
