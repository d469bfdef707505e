"""U-Net on CamVid, 11 classes of street scenes, from random weights.

Data: CamVid at 360x480; a folder with train, trainannot, val and valannot. With test and testannot too,
    --config.data.test=test scores those at the end.
Recipe: crops, flips and color changes; class weights; AdamW with a cosine schedule from 1e-3, 200 epochs of batches of
    8, and an average of the parameters.
Run: jaxseg train unet_camvid --config.data.source_dir=FOLDER
    On two cores: --config.model.features=16 --config.data.image_size=180,240 --config.data.score_at=network
    --config.train.batch_size=4 --config.train.epochs=20 --config.train.evaluate_every=184
Result: on two cores, narrow as above, validation mean IoU 0.531 and pixel accuracy 0.874 after 20 epochs, still
    rising. It took 10 minutes 49 seconds (EPYC, jax 0.10.2, other jobs in idle time). Per class: sky 0.939, building
    0.768, pole 0.094, road 0.948, pavement 0.797, tree 0.776, sign 0.098, fence 0.144, car 0.571, pedestrian 0.193,
    bicyclist 0.510. With Dice of 0.5 instead of class weights, and batches of 8, five classes stayed at 0 and the mean
    IoU ended at 0.423. The weights were chosen by this comparison, on the validation frames.
    At full resolution, with 16 features, mean IoU is 0.432 and pixel accuracy 0.816 in the frames' pixels. The run
    learned from crops of 192x256 pixels, batches of 4, for 24 epochs: --config.data.crop_size=192,256
    --config.data.augment.crop_scale=0.4,0.7. It took 64 minutes on two cores of a Xeon beside other jobs, and was still
    rising. With --tile 256, mean IoU is 0.432 too. Per class: sky 0.936, building 0.652, pole 0.067, road 0.918,
    pavement 0.687, tree 0.704, sign 0.116, fence 0.089, car 0.356, pedestrian 0.159, bicyclist 0.070.
    The default 64 features learn faster than 16 on the same batches: crops of 128x160 pixels at 180x240, batches of 4.
    The mean loss of steps 99 to 158 was 1.16 with 64 and 1.45 with 16. The run of 64 features ended there.
    At full resolution, batches of 8, bfloat16, after 460 steps (10 epochs) of a schedule of 1840: mean IoU 0.488 and
    pixel accuracy 0.849 with 64 features, 0.385 and 0.824 with 16 (one H200, jax 0.11.2). The mean loss of steps 601
    to 726 was 0.61 and 0.76. Both runs ended there.
"""

from jaxseg import config as defaults


def get_config():
    config = defaults.semantic()
    config.data.name = "camvid"
    config.data.image_size = (360, 480)
    config.data.score_at = "original"
    config.data.augment.crop_scale = (0.6, 1.2)
    config.data.augment.crop_ratio = (0.9, 1.1)
    config.data.augment.flip = True
    config.data.augment.brightness = 0.3
    config.data.augment.contrast = 0.3
    config.data.augment.saturation = 0.3
    config.model = {"name": "unet", "features": 64, "depth": 4, "initializer": "he_normal", "norm_momentum": 0.9}
    # The root of SegNet's weights, which are the median of the classes' frequencies over each; of the train frames.
    config.loss.class_weights = (0.53, 0.45, 2.19, 0.39, 1.0, 0.65, 1.96, 1.4, 0.89, 2.52, 2.98)
    config.optimizer.schedule = "cosine"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 100
    config.optimizer.weight_decay = 1e-2
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema = 0.998
    config.train.batch_size = 8
    config.train.epochs = 200.0
    config.train.evaluate_every = 460  # ten epochs
    config.train.checkpoint_every = 460
    return config
