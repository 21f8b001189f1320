"""Labels of an eye to the numbers of a clinic: `lite-medsam quantify`; each number with its definition and its scale.

- atrophy: Atrophy: cRORA by the 250 um rule on each B-scan, and the area of geographic atrophy en face
- charts: Drawings of a report as SVG: en-face maps with the ETDRS grid, B-scans with a ruler, lines over visits
- choroid: Choroid vascularity index: the share of the choroid that is lumen of vessels, in a window that is said
- definitions: What each number means and where its definition comes from
- etdrs: The ETDRS grid: nine fields within 1, 3 and 6 mm about the fovea, and means over them
- fluid: Fluid: area on each B-scan, volume and number of pockets, the largest, and what lies near the fovea
- fovea: Finding the fovea: where the retina is thinnest near the middle, or where a user or the file says
- fundus: Fundus photographs: cup-disc ratios, the load of lesions, and how far they are from the fovea
- grid: The grid on which an eye was scanned: voxel sizes with their origins, the fovea, the directions
- layer_study: How well all layers are found from one box: mean Dice by layer, with and without order
- layers: All layers of a B-scan at once: from the top down in their order, none crossing another
- loss: What is lost in the retina: the ellipsoid zone en face, and the order of the inner layers (DRIL)
- measure: Everything that the labels of one scan allow to be measured
- names: What the names of labels mean: kinds of fluid, layers of the retina, parts of an eye's lesions
- outputs: The results of `quantify` as files: tables, one JSON record, the report, and the maps as arrays
- pictures: Pictures of a report: B-scans with what was measured on them, and maps seen from the front
- quantity: One measured number with its unit, its place and what it was measured of
- reading: Scans with their labels: a case, a scan beside the masks that `segment` wrote, or label maps alone
- report_html: The report as one HTML page: pictures, maps, tables, definitions; no other file, no host
- run: What `lite-medsam quantify` does with each scan: read, segment where asked, measure
- spread: How much the numbers depend on the prompt: mean and spread over jittered prompts
- surfaces: Surfaces between which thickness is measured: of the device, and the edges of labelled layers
- thickness: Thickness between two surfaces: a map, means over the ETDRS grid, the central subfield
- visits: An eye over its visits: means, changes, growth of atrophy per year
"""
