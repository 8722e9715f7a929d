"""How files without DICOM tags end."""

NIFTI_SUFFIXES = (".nii", ".nii.gz")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
META_SUFFIXES = (".mha", ".mhd")
ITK_SUFFIXES = (*NRRD_SUFFIXES, *META_SUFFIXES)
