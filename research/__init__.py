"""Research: what the machine thinks about bars; knows no trading and no broker. Enter by `facade` and `types`."""
