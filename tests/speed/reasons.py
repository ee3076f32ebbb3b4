"""Why a figure misses what is required, in a sentence each, by the name of its row.

Shown beneath the table for rows that are missed, and only for those. Edit here, then `make bench
ONLY=table` writes the report anew without measuring.
"""

REASONS: dict[str, str] = {
    "conv_step_bf16": (
        "torch's weight gradient of the 256 to 512 layer takes about a tenth of the step, in bf16 "
        "too; the same sum as a dilated convolution was seen to take half of that, and is not built"
    ),
    "mlp_step_tutorial": (
        "matrix products are most of the step and are the same for both; the rest of the rival's "
        "waste, its transforms among it, does not add up to more"
    ),
}
