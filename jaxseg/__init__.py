"""Image segmentation as pure functions in JAX: FCN, U-Net and Mask R-CNN."""
