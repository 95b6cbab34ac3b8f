"""The metric of a trial is that of the weights that ultralytics keeps."""

from tessera.stages.detectors.search import metric_by_epoch


def test_the_metric_is_that_of_the_last_weights_with_the_best_fitness() -> None:
    # As ultralytics writes them, with masks and without.
    masks = (
        "epoch,time,metrics/recall(B),metrics/mAP50(B),metrics/mAP50-95(B),metrics/recall(M),metrics/mAP50-95(M)\n"
        "1,1.5,0.1,0.3,0.2,0.4,0.1\n2,3,0.2,0.2,0.1,0.6,0.4\n3,4,0.3,0.1,0.4,0.5,0.1\n4,5,0.4,0.9,0.1,0.9,0.2\n"
    )
    assert metric_by_epoch(masks, "map50_95") == [0.1, 0.4, 0.1, 0.1]
    assert metric_by_epoch(masks, "recall") == [0.4, 0.6, 0.5, 0.5]
    boxes = "epoch, time, metrics/mAP50(B), metrics/mAP50-95(B)\n1, 1, 0.5, 0.2\n2, 2, 0.9, 0.1\n3, 3, 0.4, 0.2\n"
    assert metric_by_epoch(boxes, "map50") == [0.5, 0.5, 0.4]
    assert metric_by_epoch(boxes, "map50_95") == [0.2, 0.2, 0.2]
