"""Volumes on anatomical axes: grids, resampling, painting masks on the scanner's grid."""
