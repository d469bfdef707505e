"""The classes of COCO, by category id: 91 outputs of a detector. 0 is the background and 10 are not in use."""

import numpy as np

from jaxseg.data.colors import distinct_colors

UNUSED = "unused"

_NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, -, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, -, backpack, umbrella, -, -,
handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
surfboard, tennis racket, bottle, -, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, -, dining table, -, -, toilet, -, tv,
laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, -, book, clock, vase,
scissors, teddy bear, hair drier, toothbrush
"""

CLASS_NAMES = ("background", *(UNUSED if name.strip() == "-" else name.strip() for name in _NAMES.split(",")))

PALETTE = np.concatenate([np.zeros((1, 3), np.uint8), distinct_colors(len(CLASS_NAMES) - 1)])
