"""OCT files of the clinic and of published sets to a Scan whose scale says where each number comes from.

- adapter: The adapter `oct` of `lite-medsam prepare`: OCT files with label maps beside them, as volumes
- bioptigen: Bioptigen .OCT: frames with a header that gives lengths of the scan
- cirrus: Zeiss Cirrus .img: voxels without any header; what is known is in the file's name
- dicom_opt: What DICOM says of an OCT scan beside its pixels: eye, device, day, and where the scale comes from
- duke: Duke's MATLAB files: DME (Chiu 2014) and AMD (Farsiu 2013), whose scale is in the publications
- heyex_e2e: Heidelberg .e2e: depth in the file, places in degrees, so widths by an assumed eye length
- heyex_vol: Heidelberg .vol, the raw export: everything in the file
- heyex_xml: Heidelberg XML export: one XML with its pictures; everything in the file
- optovue: Optovue .OCT: voxels beside a text file that gives their numbers and no sizes
- registry: Which reader a file or folder belongs to, by ending and content
- stack: B-scans as pictures in a folder, or as pages of a TIFF
- topcon: Topcon .fda and .fds: scale in the file
- vendor: What the readers share: a Scan with its scale, errors of one line, missing packages by name
- words: What a file says of itself, for people and as JSON
"""
