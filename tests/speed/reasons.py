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
        "the sweep took 42 s in all four rounds measured on 2026-11-26, the script 101 to 126: the "
        "ratio was 2.41 to 2.99. Of the 42 s a slot trains for 28 and evaluates for 5; most of the "
        "training are products of the stacked networks at three quarters of the processor's peak. "
        "One of the two slots has nothing to do for the last 6 s. The start takes 3 s and the "
        "report 4.5"
    ),
}
