"""The entry that is appended to src/tessera/workflow/figures.py."""

FIGURES = (
    *FIGURES,
    _of_model(
        "draw_threshold",
        "threshold.svg",
        "Threshold",
        _of_models(lambda project, model: model.kind.rules == "brightness"),
        caption="threshold.rst",
        function="tessera.extras.brightness.classifier:draw_threshold",
        inputs={"model": "<results>/exports/{model}/{model}.json"},
    ),
)
