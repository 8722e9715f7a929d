"""SegAnyPET for MONAI: 3D click segmentation of PET, and its training."""
