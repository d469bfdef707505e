"""Every field that every run has, with its only default. An experiment imports this and changes what it needs."""

import ml_collections
from ml_collections.config_dict import placeholder


def get_config() -> ml_collections.ConfigDict:
    """The defaults. Fields of one model, such as its width, belong to the experiment that builds it."""
    config = ml_collections.ConfigDict()
    config.task = "semantic"
    config.seed = 0
    config.precision = "float32"  # or "bfloat16": the type of activations; parameters stay float32
    config.remat = False  # compute activations within blocks again in the backward pass: less memory, more work
    config.parallel = "jit"  # or "pmap"
    config.deterministic = False  # the same bits on every run of a GPU too, at the price of speed
    config.compilation_cache = ""  # a private folder that keeps compiled programs for later runs; "" for none
    config.mesh = {"data": -1, "fsdp": 1, "spatial": 1}  # -1: whatever devices are left

    config.data = {
        "name": "shapes",
        "source_dir": "",  # the original files, in the data set's own layout
        "dir": "data",  # where prepared data is kept
        "annotations": "",  # coco: the annotation file, under source_dir; {split} is a split's name; "": looked for
        "images": "",  # coco: the folder of the images, likewise
        "instances": "",  # oxford_pets: "species" or "breed", the class of objects; "": label maps instead of objects
        "heads": False,  # and whether the head is an object too
        "splits": "official",  # how the data set is divided, where it knows several ways
        "val_share": 0.2,  # the share of images that chance takes for validation, where nobody has divided them
        "train": "train",  # names of splits; "" for none
        "val": "val",  # scored every train.evaluate_every steps
        "test": "",  # scored once, when the run ends
        "image_size": (160, 160),  # (height, width); one number means square
        "train_size": (),  # of what is trained on, where crops are smaller than the images; (): image_size
        "min_size": 800,  # detectors: the short side that images are resized to,
        "max_size": 1333,  # unless the long side would be longer than this
        "max_objects": 100,  # detectors: an image has room for so many objects; of more, the smallest are left out
        "empty_images": False,  # detectors: learn from images without objects too; evaluation has them all
        "select": {  # of each split, only the images
            "first": 0,  # that come first, so many; 0: all
            "most_objects": 0,  # with at most so many objects; 0: whatever they have. With any of these, at least one
            "least_share": 0.0,  # each of which covers at least this share of the image
            "crowds": True,  # and that have a crowd region or not; False: those without
        },
        "mean": (0.5, 0.5, 0.5),  # an image becomes (image / scale - mean) / std on the device
        "std": (0.5, 0.5, 0.5),
        "scale": 255.0,
        "cache": True,  # keep decoded, resized images and label maps in a file under dir, for later epochs and runs
        "workers": 1,  # processes that prepare batches (0: threads do); as many, but at least two, score detections
        "augment": {
            "crop_scale": (1.0, 1.0),  # the side of a random crop, as a share of the image's; above 1 pads
            "crop_ratio": (1.0, 1.0),  # and its aspect, relative to the image's
            "flip": False,
            "brightness": 0.0,  # each: largest relative change, drawn uniformly
            "contrast": 0.0,
            "saturation": 0.0,
            "hue": 0.0,  # in turns of the color circle
            "elastic": 0.0,  # elastic deformation: standard deviation of the shifts, in pixels; 0: none
            # Of detectors, which know flip and the colors too, but neither crop nor elastic:
            "min_sizes": (),  # the short sides of which chance takes one for each image; (): data.min_size
            "scale_jitter": (1.0, 1.0),  # sizes relative to one that fits data.image_size, which all images then get
            "copy_paste": 0.0,  # probability that objects of another image are pasted onto an image
        },
        "border_weight": 0.0,  # how much more a pixel weighs where it parts two objects that touch; 0: nothing more
        "border_width": 5.0,  # and how wide such a border is, the sigma of the weight, in pixels
    }
    config.model = {"name": "unet"}
    config.init = {
        # What a fresh run starts from: a .pth or .safetensors file of torchvision's, torchvision's name of one, such
        # as VGG16_Weights.IMAGENET1K_V1, or the workdir of a run of the same model; "" for random numbers.
        "weights": "",
    }
    config.loss = {
        "cross_entropy": 1.0,  # the weight of each term; 0 leaves it out
        "dice": 0.0,
        "focal": 0.0,
        "lovasz": 0.0,
        "label_smoothing": 0.0,
        "class_weights": (),  # one number a class; () means all equal
        "auxiliary": 0.5,  # the weight of the same terms on a model's auxiliary head, where it has one
    }
    config.optimizer = {
        "name": "adamw",
        "learning_rate": 1e-3,
        "schedule": "constant",
        "milestones": (),  # of the schedule "steps": after which shares of the run the rate falls
        "gamma": 0.1,  # and to how much of what it was
        "warmup_steps": 0,
        "factors": (),  # pairs: how names of parameters begin, such as "backbone/", and what multiplies their rate
        "weight_decay": 0.0,  # on kernels only
        "clip_norm": 0.0,  # 0: no clipping
        "ema": 0.0,  # decay of the average of parameters that evaluation uses; 0: none
    }
    config.train = {
        "batch_size": 32,  # over all devices
        "steps": placeholder(int),  # None: as many as train.epochs take
        "epochs": 10.0,
        "accumulate": 1,  # microbatches a step
        "evaluate_every": 500,  # steps; 0: only at the end
        "checkpoint_every": 500,
        "keep": 2,  # the newest checkpoints kept, beside the best
        "best_metric": "mean_iou",  # of the val split; detectors: "segm_AP"
    }
    return config
