"""Backbones: ResNet and VGG16."""
