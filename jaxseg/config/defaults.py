"""Default values of all fields of a config: the one home of each default and of its description.

The comment above or behind a field is its description in ``jaxseg train CONFIG --help``. Fields of one model, such as
its width, have their defaults and descriptions in the class of that model.
"""

import ml_collections
from ml_collections.config_dict import FieldReference, placeholder


def semantic() -> ml_collections.ConfigDict:
    """Returns the defaults of semantic segmentation: one class per pixel."""
    config = _shared()
    config.task = "semantic"
    config.data.update(
        {
            "image_size": _size((160, 160)),  # Height and width to which images are resized; one number means square.
            # How images are resized: "stretch" to data.image_size; "short_side" or "long_side" brings that side to the
            # one of data.image_size and keeps the aspect ratio; "none" keeps the size.
            "resize": "stretch",
            "max_size": 1333,  # Upper limit of the longer side under data.resize="short_side".
            "crop_size": _size(()),  # Height and width of training crops; () uses data.image_size.
            # Where predictions are scored: "network", at the size that the model sees, or "original", in the pixels of
            # the label files.
            "score_at": "network",
            "border_weight": 0.0,  # Extra loss weight of pixels between touching objects; 0 disables it.
            "border_width": 5.0,  # Standard deviation of that weight around a border, in pixels.
            "as_semantic": False,  # Draw the objects of a data set of objects into label maps.
            "cache": True,  # Keep decoded, resized images in a file under data.dir.
        }
    )
    config.data.augment.update(
        {
            "crop_scale": (1.0, 1.0),  # Range of the side of a random crop, relative to the image's. Above 1 pads.
            "crop_ratio": (1.0, 1.0),  # Range of the aspect ratio of a crop, relative to the image's.
            "rotation": 0.0,  # Largest angle of a random rotation, in degrees; 0 disables it.
            "scale": (1.0, 1.0),  # Range of a random scale, unless data.resize is "stretch".
            "elastic": 0.0,  # Standard deviation of elastic shifts, in pixels; 0 disables it.
        }
    )
    config.model = {
        "name": "unet",  # "fcn_resnet", "fcn_vgg", "unet" or "unet_resnet".
    }
    config.loss = {
        "cross_entropy": 1.0,  # Weight of the cross-entropy loss; 0 disables it.
        "dice": 0.0,  # Weight of the Dice loss; 0 disables it.
        "focal": 0.0,  # Weight of the focal loss; 0 disables it.
        "lovasz": 0.0,  # Weight of the Lovasz-softmax loss; 0 disables it.
        "label_smoothing": 0.0,  # Share of the target that is spread over all classes; 0 disables it.
        "class_weights": (),  # One weight per class; () weighs all classes equally.
        "auxiliary": 0.5,  # Weight of the loss of an auxiliary head, for models that have one.
    }
    config.train.best_metric = "mean_iou"
    return config


def detector() -> ml_collections.ConfigDict:
    """Returns the defaults of instance segmentation: a box, a class and a mask per object."""
    config = _shared()
    config.task = "instances"
    config.data.update(
        {
            "min_size": 800,  # Length of the shorter side to which images are resized, in pixels.
            "max_size": 1333,  # Upper limit of the longer side. It takes precedence over data.min_size.
            "crop_size": _size((160, 160)),  # Height and width of training crops under data.augment.scale_jitter.
            "max_objects": 100,  # Maximum number of objects per image; the smallest are dropped first.
            "crowds": "auto",  # What iscrowd means: "crowd", "object", or "auto", which asks where most are crowds.
            "empty_images": False,  # Train on images without objects too. Evaluation always includes them.
            "instances": "",  # For oxford_pets: classes are "species" or "breed"; "" reads label maps instead.
            "heads": False,  # For oxford_pets: the head of an animal is an object too.
        }
    )
    config.data.augment.update(
        {
            "min_sizes": (),  # Choose the shorter side at random from this list; () uses data.min_size.
            "scale_jitter": (1.0, 1.0),  # Range of a random scale, relative to an image that fits data.crop_size.
            "copy_paste": 0.0,  # Probability of pasting objects of another image; 0 disables it.
        }
    )
    config.model = {
        "name": "mask_rcnn",  # "mask_rcnn".
    }
    config.train.best_metric = "segm_AP"
    return config


def rate_for_width(rate: float, *, at: int, width: FieldReference) -> FieldReference:
    """Returns a learning rate that falls as one over the width of a model.

    Adam changes each weight by about the rate. A sum over ``width`` inputs then changes by ``width`` times as much,
    so a wider model needs a lower rate (Yang et al. 2021, "Tensor Programs V").

    Args:
      rate: the rate of a model of width ``at``.
      at: that width.
      width: a reference to the field of the width.

    Returns:
      A value for ``optimizer.learning_rate``. It follows later changes of the width. A rate that is set replaces it.

    Example:
      config.optimizer.learning_rate = rate_for_width(3e-3, at=16, width=config.model.get_ref("features"))
    """
    return FieldReference(rate * at) / width


def _size(size: tuple[int, ...]) -> FieldReference:
    """Returns a field that is a pair (height, width) or one number."""
    return FieldReference(size, field_type=object)


def _shared() -> ml_collections.ConfigDict:
    """Returns the fields that all tasks have."""
    config = ml_collections.ConfigDict()
    config.task = "semantic"  # "semantic" or "instances". The page decides.
    config.seed = 0  # Seed of initial weights, data order and augmentation.
    config.precision = "float32"  # Type of activations: "float32" or "bfloat16". Parameters stay float32.
    config.remat = False  # Recompute activations in the backward pass: less memory, more work.
    config.parallel = "jit"  # "jit" over a mesh, or "pmap".
    config.memory_limit = 0.0  # Memory that a run may use per device, in GB; 0 uses what is free.
    config.deterministic = False  # Produce the same bits in every run on a GPU too, at lower speed.
    config.compilation_cache = ""  # Private folder that keeps compiled programs for later runs; "" disables it.
    config.trackers = ("tensorboard",)  # Trackers: "tensorboard", "wandb", "mlflow", "trackio"; () disables them.
    config.mesh = {
        "data": -1,  # Number of devices that share a batch; -1 uses all remaining devices.
        "fsdp": 1,  # Number of devices that share the parameters.
        "spatial": 1,  # Number of devices that share the rows of an image; semantic models only.
        "slices": -1,  # Number of TPU slices, joined over a network; -1 uses those that the devices belong to.
    }
    _add_data(config)
    _add_training(config)
    return config


def _add_data(config: ml_collections.ConfigDict) -> None:
    """Adds the fields of the data and of augmentations that all tasks have."""
    config.data = {
        "name": "shapes",  # Name of the data set.
        "source_dir": "",  # Folder of the original files, in the layout of the data set.
        "dir": "data",  # Folder of prepared data.
        "annotations": "",  # For coco: annotation file under source_dir, with {split}; "" searches for it.
        "images": "",  # For coco: image folder under source_dir, with {split}; "" searches for it.
        "split_seed": placeholder(int),  # Divide the images at random with this seed; None keeps the data set's splits.
        "val_fraction": 0.2,  # Share of images that a random division uses for validation.
        "train": "train",  # Split to train on.
        "val": "val",  # Split scored every train.evaluate_every steps; "" disables it.
        "test": "",  # Split scored once at the end of the run; "" disables it.
        "missing": "error",  # Images that annotations name and no file has: "error", or "skip" leaves them out.
        "select": {
            "first": 0,  # Keep only the first images of each split; 0 keeps all.
            "most_objects": 0,  # Keep only images with 1 to this many objects; 0 keeps all.
            "least_share": 0.0,  # Keep only images with all objects at least this share of the image; 0 keeps all.
            "crowds": True,  # Keep images with crowd regions.
        },
        "mean": (),  # Mean per channel; () uses that of the initial weights, or else of the data set.
        "std": (),  # Standard deviation per channel; () as for data.mean. (image / scale - mean) / std is the input.
        "scale": 255.0,  # Divisor of pixel values before the mean is subtracted.
        # Meaning of mask files: "classes", "instances" (one number per object), or "auto" to look at them.
        "masks": "auto",
        "unlabeled": "skip",  # Images without a mask: "skip" leaves them out, "background" trains on them.
        "bad_files": "error",  # Damaged files: "error" ends the run, "skip" decodes all images and leaves them out.
        "tolerate_size_difference": 0,  # Pixels by which the sizes of mask and image may differ; 0 allows none.
        "allow_overlap": False,  # Allow images that are in the lists of several splits.
        "value_range": "auto",  # Values that become black and white in 16-bit and float images, such as "0,4095".
        "page": 0,  # Page to read of image files with several pages, from 0.
        "max_pixels": 1_000_000_000,  # Largest number of pixels of an image that is read.
        "workers": 1,  # Worker processes for data loading; 0 uses threads. Scoring uses max(workers, 2).
        # Where training images are augmented: "host", by workers or threads, or "device", inside the step. Semantic
        # models with data.resize="stretch" only.
        "augment_on": "host",
        "augment": {
            "flip": False,  # Exchange left and right with probability 0.5.
            "flip_vertical": False,  # Exchange top and bottom with probability 0.5.
            "brightness": 0.0,  # Largest relative change of brightness; 0 disables it.
            "contrast": 0.0,  # Largest relative change of contrast; 0 disables it.
            "saturation": 0.0,  # Largest relative change of saturation; 0 disables it.
            "hue": 0.0,  # Largest shift of the hue, in turns of the color circle; 0 disables it.
            "blur": 0.0,  # Largest standard deviation of a Gaussian blur, in pixels; 0 disables it.
            "noise": 0.0,  # Largest standard deviation of Gaussian noise, as a share of 255; 0 disables it.
        },
    }


def _add_training(config: ml_collections.ConfigDict) -> None:
    """Adds the fields of initial weights, optimizer and training loop."""
    config.init = {
        # Initial weights: a .pth or .safetensors file, torchvision's name of one such as
        # VGG16_Weights.IMAGENET1K_V1, or the workdir of a run; "" draws random numbers.
        "weights": "",
    }
    config.optimizer = {
        "name": "adamw",  # "adam", "adamw", "rmsprop" or "sgd".
        "learning_rate": FieldReference(1e-3),  # Peak learning rate.
        "schedule": "constant",  # "constant", "cosine", "poly" or "steps".
        "milestones": (),  # For the schedule "steps": shares of the run after which the rate drops.
        "gamma": 0.1,  # For the schedule "steps": factor of each drop.
        "warmup_steps": 0,  # Steps of linear warm-up; 0 disables it.
        "factors": (),  # Pairs of a parameter name prefix, such as "backbone/", and a factor of its rate.
        "weight_decay": 0.0,  # Weight decay of kernels; biases and norms do not decay.
        "clip_norm": 0.0,  # Largest global norm of the gradient; 0 disables clipping.
        "ema": 0.0,  # Decay of the average of parameters that evaluation uses; 0 disables it.
    }
    config.train = {
        "batch_size": 32,  # Images per step, over all devices.
        "steps": placeholder(int),  # Number of steps; None derives it from train.epochs.
        "epochs": 10.0,  # Number of passes over the training split, unless train.steps is set.
        # Microbatches per step. More need less memory; "auto" uses as few as fit.
        "accumulate": FieldReference(1, field_type=int | str),
        "evaluate_every": 500,  # Steps between evaluations; 0 evaluates only at the end.
        "evaluate_epochs": 0.0,  # Largest number of epochs between evaluations; 0 disables it.
        "checkpoint_every": 500,  # Steps between checkpoints; 0 saves only at evaluations and at the end.
        "keep": 2,  # Number of newest checkpoints kept, in addition to the best.
        "best_metric": "mean_iou",  # Score of the val split that selects the best checkpoint.
    }
