"""Why a figure misses what is required, in a sentence each, by the name of its row.

Shown beneath the table for rows that are missed, and only for those. Edit here, then `make bench
ONLY=table` writes the report anew without measuring.
"""

REASONS: dict[str, str] = {
    "conv_step_bf16": (
        "torch's convolutions in bf16 take 0.78 of the step. Their weight gradients as dilated "
        "convolutions were tried and gain nothing in a step (0.985 to 1.0 times), in which torch "
        "makes both gradients at once. In other hours 2.04 and 2.08 were read here"
    ),
    "conv_step_bf16_ours": (
        "the same; and keeping freed memory gains 7 % in float32 and 2 % in bf16, so that it makes "
        "both steps faster and this ratio smaller. Without it 1.78 and 1.83 were read here"
    ),
    "mlp_step_tutorial": (
        "matrix products are most of the step and are the same for both; the rest of the rival's "
        "waste, its transforms among it, does not add up to more"
    ),
    "digits_sweep": (
        "of 52 s 35 are training and 6 evaluations, on two cores; half of the training is matrix "
        "products of the stacked networks at the processor's peak, the rest small operations. "
        "One of the two slots has nothing to do for the last 6 s. The start takes 3 s and the "
        "report 5"
    ),
}
