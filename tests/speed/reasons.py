"""Why a figure misses what is required, in a sentence each, by the name of its row.

Shown beneath the table for rows that are missed, and only for those. Edit here, then `make bench
ONLY=table` writes the report anew without measuring.
"""

REASONS: dict[str, str] = {
    "conv_step_bf16": (
        "torch's convolutions are 0.93 of the step's time (python -m tests.speed.choices share "
        "bf16). Weight gradients as dilated convolutions were tried: they gain nothing in a step, "
        "where torch makes both gradients of a layer at once. Commits bf5d2d4 and 9619b8a read "
        "2.08 and 2.04 here"
    ),
    "conv_step_bf16_ours": (
        "the same; and keeping freed memory gains 7 % in float32 and 4 % in bf16 (python -m "
        "tests.speed.choices memory), so that it makes both steps faster and this ratio smaller. "
        "Before it commits bf5d2d4 and 9619b8a read 1.78 and 1.83"
    ),
    "mlp_step_tutorial": (
        "matrix products are most of the step and are the same for both; the rest of the rival's "
        "waste, its transforms among it, does not add up to more"
    ),
    "digits_sweep": (
        "it is at the edge: three measurements on 2026-11-26 gave medians of 3.03, 2.88 and 3.35, "
        "their eight rounds 2.79 to 3.55: the script took 102 to 138 s, the sweep 37 to 41. "
        "Of those a slot trains for 26 and evaluates for 5, and one idles for the last 5. The "
        "start takes 2.5 and the report 4.3"
    ),
}
